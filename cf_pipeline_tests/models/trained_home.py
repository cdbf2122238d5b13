"""A home with models that nobody trained: rows and records as an asset's run would write them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from cf_pipeline.benchmark.promotion import COMPARISON_SCHEMA
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.recompute.stage import RunFacts, Stage
from cf_pipeline.recompute.staleness import StageSpec
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import AssetRecord, Draft
from cf_pipeline.storage.tables import TABLES
from cf_pipeline.storage.warehouse import Warehouse

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PRIMARY = ("triplet_accuracy", "ndcg_at_10")
SEEN = {"1": "train", "01398047": "validation"}
"""Projects that a model has seen, unless a test says otherwise."""
DIFFERENCES = {
    **dict.fromkeys(("split", "feature_set", "reference", "measure"), pl.String),
    **dict.fromkeys(("difference", "low", "high"), pl.Float64),
}
QUERIES = {
    **dict.fromkeys(("split", "feature_set", "measure", "project_id"), pl.String),
    "bootstrap_group": pl.Int64,
    "value": pl.Float64,
}

LEAKS = {
    **dict.fromkeys(("split", "feature_set", "quantity"), pl.String),
    "correlation": pl.Float64,
    "n_projects": pl.Int64,
}


_KINDS: dict[str, Any] = {
    "VARCHAR": pl.String,
    "VARCHAR[]": pl.List(pl.String),
    "BIGINT": pl.Int64,
    "DOUBLE": pl.Float64,
    "FLOAT": pl.Float32,
    "FLOAT[n]": pl.Array(pl.Float32, 1),
    "FLOAT[]": pl.List(pl.Float32),
    "INTEGER": pl.Int32,
    "BOOLEAN": pl.Boolean,
    "TIMESTAMP": pl.Datetime,
}


def empty(*tables: str) -> dict[str, pl.DataFrame]:
    """Tables without a row."""
    return {
        table: pl.DataFrame(schema={c.name: _KINDS[c.type] for c in TABLES[table].columns})
        for table in tables
    }


@dataclass
class TrainedHome:
    """Writes assets an hour apart, each read from what its inputs name."""

    home: Home
    hours: int = field(default=0)

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.home.warehouse_path, threads=1)

    def publish(
        self,
        asset: str,
        scope: str | None = None,
        *,
        version: str | None = None,
        inputs: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **tables: pl.DataFrame,
    ) -> AssetRecord:
        self.hours += 1
        draft = Draft(
            asset,
            f"code of {asset}",
            "config",
            dict(inputs or {}),
            f"run {self.hours}",
            START + timedelta(hours=self.hours),
            1.0,
            metadata=dict(metadata or {}),
            data_version=version or scope or "v1",
        )
        return self.warehouse.publish(draft, Write(tables, scope))

    def stage(
        self,
        asset: str,
        *,
        parents: tuple[str, ...] = (),
        reusable: bool = True,
        warm: bool = False,
    ) -> Stage:
        """An asset in the making, as the home is configured."""
        configuration = resolve(Choices.read(self.home.config_path))
        previous = self.warehouse.record(asset)
        body = ("cf_pipeline.defs", asset)
        return Stage(
            spec=StageSpec(asset, "tests", parents, (), None, body),
            run=RunFacts("run 7", logging.getLogger("a run"), warm=warm),
            configuration=configuration,
            dataset=load_dataset(configuration.dataset),
            warehouse=self.warehouse,
            artifacts=Artifacts(self.home.artifacts_path),
            scratch=self.home.path,
            wandb_folder=self.home.wandb_path,
            unfinished=self.home.unfinished_path,
            identity="tests",
            previous=previous,
            reusable=reusable and previous is not None,
        )

    def train(
        self,
        seed: int,
        *,
        seen: Mapping[str, str | None] | None = None,
        n_bytes: int = 1,
        **recorded: Any,
    ) -> str:
        """A model with a checkpoint of so many bytes; returns its version."""
        artifacts = Artifacts(self.home.artifacts_path)
        with artifacts.draft() as draft:
            (draft / "weights.safetensors").write_bytes(b"%d" % seed * n_bytes)
            artifact = artifacts.publish(draft, "checkpoint")
        version = artifact.version[:16]
        model = pl.DataFrame({
            "model_version": version,
            "artifact": artifact.version,
            "manifest": "{}",
            "trained_at": (START + timedelta(days=seed)).replace(tzinfo=None),
        })
        curve = pl.DataFrame(
            schema={"model_version": str, "epoch": pl.Int32, "name": str, "value": float}
        )
        projects = SEEN if seen is None else seen
        on = pl.DataFrame(
            {"project_id": list(projects), "split": list(projects.values())},
            schema={"project_id": pl.String, "split": pl.String},
        ).with_columns(model_version=pl.lit(version))
        tables = {"trained_cnn": model, "training_history": curve, "trained_on": on}
        self.publish("trained_cnn", version, **recorded, **tables)
        return version

    def embed(self, model: str, value: float, sha256: str = "00") -> None:
        """Two covers as a model sees them."""
        rows = pl.DataFrame({
            "project_id": ["1", "01398047"],
            "model_version": model,
            "sha256": sha256,
            "features": np.full((2, 3), value, dtype=np.float32),
            "predicted_factors": np.full((2, 2), -value, dtype=np.float32),
        })
        self.publish("embeddings", model, inputs={"trained_cnn": model}, embeddings=rows)

    def cover(self, sha256: str = "00") -> None:
        """Two covers with the same bytes."""
        empty = dict.fromkeys(("width", "height", "format", "reason"))
        rows = pl.DataFrame([
            {
                "project_id": project,
                "path": f"{project}.png",
                "sha256": sha256,
                **empty,
                "status": "ok",
                "look_group": "1",
                "look_component": "1",
            }
            for project in ("1", "01398047")
        ])
        self.publish("covers", covers=rows)

    def describe(self) -> None:
        """Two projects."""
        nothing = dict.fromkeys(("split_group", "stratum", "field", "subfield", "cover"))
        rows = pl.DataFrame([
            {"project_id": p, "title": p, "owners": ["a"], "tags": ["b"], **nothing}
            for p in ("1", "01398047")
        ])
        self.publish("raw_projects", raw_projects=rows, **empty("raw_projects_rejected"))

    def split(self) -> None:
        rows = pl.DataFrame({"project_id": ["01398047", "1"], "split": ["test", "train"]})
        self.publish("project_split", project_split=rows)

    def train_on(self, *projects: str) -> None:
        """What features are centred on."""
        rows = pl.DataFrame({
            "project_id": projects,
            "sha256": "00",
            "factors": np.ones((len(projects), 2), dtype=np.float32),
            "degree": 3,
            "split": "train",
            "width": 10,
            "height": 10,
            "path": "x.png",
        })
        pairs = {"query_id": pl.String, "candidate_id": pl.String, "relevance": pl.Float32}
        self.publish(
            "training_set",
            training_set=rows,
            validation_relevances=pl.DataFrame(schema=pairs),
            **empty("training_vectors"),
        )

    def appoint(self, reason: str = "so that there is one", **roles: str) -> None:
        """Role to model."""
        rows = pl.DataFrame([
            {
                "model_version": model,
                "promoted_at": START.replace(tzinfo=None),
                "role": role,
                "reason": reason,
            }
            for role, model in roles.items()
        ])
        comparisons = pl.DataFrame(schema=COMPARISON_SCHEMA)
        self.publish("promoted_model", promoted_model=rows, promotion_comparisons=comparisons)

    def score(
        self,
        model: str,
        value: float,
        queries: pl.DataFrame | None = None,
        form: str = "collaborative",
    ) -> None:
        """The primary measures of the chosen layer, the same for each, and perhaps queries."""
        row = {"split": "test", "feature_set": "collaborative", "low": 0.0, "high": 1.0}
        scores = pl.DataFrame([
            {**row, "measure": measure, "value": value, "n_queries": 9, "n_groups": 8}
            for measure in PRIMARY
        ]).with_columns(chosen=True)
        tables = {
            "similarity_scores": scores,
            "similarity_differences": pl.DataFrame(schema=DIFFERENCES),
            "similarity_queries": pl.DataFrame(schema=QUERIES) if queries is None else queries,
            "exported_forms": pl.DataFrame([
                {"form": form, "measure": "ndcg_at_10", "value": value, "n_queries": 9}
            ]).with_columns(exported=True),
            "popularity_leaks": pl.DataFrame(schema=LEAKS),
        }
        of_model = {
            name: table.with_columns(model_version=pl.lit(model)) for name, table in tables.items()
        }
        self.publish("similarity_scores", model, **of_model)
