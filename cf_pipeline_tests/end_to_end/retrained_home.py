"""One planted home that is retrained several times, and what is seen of it after each run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from cf_pipeline.cli.app import app
from cf_pipeline.configuration.choices import Choices
from cf_pipeline.definitions import defs
from cf_pipeline.defs.assets import WARM_TAG
from cf_pipeline.defs.running import RunOutcome, Wanted, instance_of, run_pipeline
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import PlantedWorld
from cf_pipeline_tests.end_to_end import planted_run

SMALL = PlantedConfig(
    n_users=300,
    n_projects=400,
    events_per_user=30,
    cover_size=32,
    n_task_images=32,
    n_task_classes=4,
)
RETRAINING = (
    "raw_interactions",
    "covers",
    "pruned_matrix",
    "latent_factors",
    "training_set",
    "trained_cnn",
    "embeddings",
    "similarity_scores",
    "promoted_model",
)
"""From a change of interactions to who serves."""
PROCESS = {
    "resources.threads": 1,
    "resources.training": "same",
    "resources.device": "cpu",
    "tracking.mode": "disabled",
}
"""Not hashed: how a run works, not what it computes."""


def choices(world: PlantedWorld) -> Choices:
    """Those of the planted run, with less to average over."""
    planted = planted_run.choices(world)
    smaller = {"benchmark.n_resamples": 200, "benchmark.n_triplets": 10, "vision.epochs": 8}
    return planted.model_copy(update={"set": {**planted.set, **smaller, **PROCESS}})


@dataclass(frozen=True)
class Seen:
    """A home after a run.

    Attributes:
        outcome: of the run.
        records: asset to its record.
        roles: role to model.
        reason: why the champion is champion.
        comparisons: rows of promotion_comparisons.
        embedded: model to its projects with the hashes of the covers that it saw.
        interactions: SHA-256 of the interaction file.
    """

    outcome: RunOutcome
    records: Mapping[str, AssetRecord]
    roles: Mapping[str, str]
    reason: str
    comparisons: pl.DataFrame
    embedded: Mapping[str, set[tuple[str, str]]]
    interactions: str

    @property
    def model(self) -> str:
        """The newest."""
        return self.version("trained_cnn")

    def version(self, asset: str) -> str:
        return self.records[asset].data_version


@dataclass(frozen=True)
class RetrainedHome:
    """A home whose data set a test changes between runs.

    Attributes:
        world: the data set.
        home: where runs write.
        events: all interactions; the file holds what a test left of them.
    """

    world: PlantedWorld
    home: Home
    events: pl.DataFrame

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.home.warehouse_path, threads=1)

    @property
    def interactions(self) -> Path:
        return self.world.folder / "interactions.parquet"

    def write(self, events: pl.DataFrame) -> None:
        events.write_parquet(self.interactions)

    def choose(self, **fields: object) -> None:
        """Choices over those above; `__` stands for the dot."""
        chosen = {key.replace("__", "."): value for key, value in fields.items()}
        before = choices(self.world)
        before.model_copy(update={"set": {**before.set, **chosen}}).write(self.home.config_path)

    def run(self, *select: str, force: bool = False, warm: bool = False) -> RunOutcome:
        tags = {WARM_TAG: "true"} if warm else {}
        outcome = run_pipeline(self.home, defs(), Wanted(select, force, tags=tags))
        assert not outcome.failures
        return outcome

    def see(self, outcome: RunOutcome) -> Seen:
        warehouse = self.warehouse
        roles = warehouse.frame("promoted_model")
        embedded = warehouse.frame("embeddings", ("model_version", "project_id", "sha256"))
        return Seen(
            outcome,
            warehouse.records(),
            dict(roles.select("role", "model_version").iter_rows()),
            roles.filter(role="champion")["reason"].item(),
            warehouse.frame("promotion_comparisons"),
            {
                str(model): set(rows.select("project_id", "sha256").iter_rows())
                for (model,), rows in embedded.group_by("model_version")
            },
            hashlib.sha256(self.interactions.read_bytes()).hexdigest(),
        )

    def covers(self) -> set[tuple[str, str]]:
        """Readable covers by project and hash."""
        rows = self.warehouse.frame("covers", ("project_id", "sha256"), where="status = 'ok'")
        return set(rows.iter_rows())

    def models(self) -> list[str]:
        """Every model, oldest first."""
        rows = self.warehouse.frame("trained_cnn", ("model_version", "trained_at"))
        return rows.sort("trained_at")["model_version"].to_list()

    def checkpoints(self) -> set[str]:
        """Names of the folders on disk."""
        return {path.name for path in (self.home.artifacts_path / "checkpoint").iterdir()}

    def said(self, *arguments: str) -> str:
        """What `cf-pipeline` prints."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CF_PIPELINE_HOME", str(self.home.path))
            result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == 0, result.output
        return result.stdout

    def latest_event(self, asset: str) -> dg.AssetMaterialization:
        with instance_of(self.home) as instance:
            event = instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        return event.asset_materialization

    def log_of(self, outcome: RunOutcome) -> Sequence[str]:
        """What a run said in its log."""
        with instance_of(self.home) as instance:
            return [entry.user_message for entry in instance.all_logs(outcome.run_id)]
