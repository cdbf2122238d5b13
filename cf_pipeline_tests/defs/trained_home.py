"""A home with models that nobody trained: rows and records as an asset's run would write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.records import AssetRecord, Draft
from cf_pipeline.storage.warehouse import Warehouse

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
COMPARISONS = {
    "model_version": str,
    "reference_role": str,
    "reference_version": str,
    "measure": str,
    **dict.fromkeys(("value", "reference_value", "difference", "low", "high"), float),
    "n_queries": int,
    "n_groups": int,
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
        return self.warehouse.publish(draft, tables, scope=scope)

    def train(self, seed: int, **recorded: Any) -> str:
        """A model with a checkpoint; returns its version."""
        artifacts = Artifacts(self.home.artifacts_path)
        with artifacts.stage() as staged:
            (staged / "weights.safetensors").write_bytes(b"%d" % seed)
            artifact = artifacts.publish(staged, "checkpoint")
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
        seen = pl.DataFrame({"model_version": version, "project_id": ["1"]})
        tables = {"trained_cnn": model, "training_history": curve, "trained_on": seen}
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

    def split(self) -> None:
        rows = pl.DataFrame({"project_id": ["01398047", "1"], "split": ["test", "train"]})
        self.publish("project_split", project_split=rows)

    def appoint(self, **roles: str) -> None:
        """Role to model."""
        rows = pl.DataFrame([
            {
                "model_version": model,
                "promoted_at": START.replace(tzinfo=None),
                "role": role,
                "reason": "so that there is one",
            }
            for role, model in roles.items()
        ])
        tables = {"promoted_model": rows, "promotion_comparisons": pl.DataFrame(schema=COMPARISONS)}
        self.publish("promoted_model", **tables)

    def score(self, model: str, value: float) -> None:
        """The chosen layer's primary measures."""
        row = {"split": "test", "feature_set": "collaborative", "low": 0.0, "high": 1.0}
        rows = pl.DataFrame([
            {**row, "measure": measure, "value": value, "n_queries": 9, "n_groups": 8}
            for measure in ("triplet_accuracy", "ndcg_at_10")
        ]).with_columns(model_version=pl.lit(model), chosen=True)
        apart = pl.DataFrame(
            schema={
                **dict.fromkeys(
                    ("model_version", "split", "feature_set", "reference", "measure"), str
                ),
                **dict.fromkeys(("difference", "low", "high"), float),
            }
        )
        self.publish(
            "similarity_scores", model, similarity_scores=rows, similarity_differences=apart
        )
