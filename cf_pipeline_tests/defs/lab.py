"""A planted data set and a home with the group `interactions` computed, restored for every test."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl

from cf_pipeline.configuration.choices import Choices
from cf_pipeline.definitions import defs
from cf_pipeline.defs.conditions import stages_in_order
from cf_pipeline.defs.running import RunOutcome, Wanted, run_pipeline
from cf_pipeline.recompute.status import AssetStatus, pipeline_status
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import plant

SMALL = PlantedConfig(
    n_users=60, n_projects=80, n_clusters=4, cover_size=16, n_task_images=16, n_task_classes=2
)
INTERACTIONS = (
    *("raw_interactions", "raw_projects", "user_embeddings"),
    *("covers", "project_split", "pruned_matrix"),
)
CHOICES = {
    "resources.threads": 1,
    # A small world is dense: nobody is too popular in it.
    "pruning.max_user_share": 0.9,
    "pruning.max_project_share": 0.9,
}


@dataclass(frozen=True)
class Lab:
    """Where a test changes things and runs assets.

    Attributes:
        world: folder of the data set.
        home: what runs write.
        definitions: the project's.
    """

    world: Path
    home: Home
    definitions: dg.Definitions

    def choose(self, **fields: object) -> None:
        """Choices over those of the lab; `__` stands for the dot."""
        chosen = {key.replace("__", "."): value for key, value in fields.items()}
        dataset = str(self.world / "dataset.toml")
        Choices(dataset=dataset, set={**CHOICES, **chosen}).write(self.home.config_path)

    def run(self, *select: str, force: bool = False) -> RunOutcome:
        """Run assets, by default those that are there."""
        chosen: Sequence[str] = select or INTERACTIONS
        return run_pipeline(self.home, self.definitions, Wanted(select=chosen, force=force))

    def status(self) -> dict[str, AssetStatus]:
        return {status.asset: status for status in pipeline_status(self.home, stages_in_order())}

    def stale(self) -> dict[str, str]:
        """Assets whose rows would be computed again, and why."""
        states = self.status().values()
        return {
            status.asset: status.why for status in states if status.state in {"stale", "failed"}
        }

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.home.warehouse_path, threads=1)

    def rows(self, table: str) -> pl.DataFrame:
        return self.warehouse.frame(table)

    def edit_dataset(self, before: str, after: str) -> None:
        path = self.world / "dataset.toml"
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))


def plant_lab(folder: Path) -> Lab:
    """A small world below a folder, and a home in which the group `interactions` is computed."""
    plant(folder / "world", SMALL)
    lab = Lab(folder / "world", Home(folder / "home"), defs())
    lab.home.create()
    lab.choose()
    outcome = lab.run()
    assert not outcome.failures
    assert set(outcome.computed) == set(INTERACTIONS)
    for part in ("world", "home"):
        shutil.copytree(folder / part, folder / "as_it_was" / part)
    return lab


def restore(lab: Lab) -> Lab:
    """The lab as it was planted, at the same place, since tables hold paths."""
    folder = lab.world.parent
    for part in ("world", "home"):
        shutil.rmtree(folder / part, ignore_errors=True)
        shutil.copytree(folder / "as_it_was" / part, folder / part)
    return lab
