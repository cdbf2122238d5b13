"""What somebody changes about a finished home, one thing at a time, and what that computes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl

import cf_pipeline
from cf_pipeline.configuration.choices import Choices
from cf_pipeline.definitions import defs
from cf_pipeline.defs.conditions import stages_in_order
from cf_pipeline.defs.running import instance_of
from cf_pipeline.defs.settling import settle
from cf_pipeline.recompute.due import Situation
from cf_pipeline.sources.files import covers_folder, interaction_files
from cf_pipeline.storage.home import HOME_VARIABLE, Home
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline_tests.end_to_end.planted_run import repaint

DEFINITIONS = defs()
"""Loading them fills the list of stages."""
PACKAGE = Path(cf_pipeline.__file__).parent
EMBEDDERS = ("embeddings", "imagenet_embeddings", "simple_embeddings")
SETTLE = """
import json, sys
from pathlib import Path
import cf_pipeline
from cf_pipeline.definitions import defs
from cf_pipeline.defs.settling import settle
from cf_pipeline.storage.home import Home
assert Path(cf_pipeline.__file__).parent == Path(sys.argv[2]), cf_pipeline.__file__
print(json.dumps(settle(Home(Path(sys.argv[1])), defs())))
"""


@dataclass(frozen=True)
class Place:
    """A finished home whose sources may be changed."""

    home: Home

    @property
    def situation(self) -> Situation:
        """Configuration, data set and records."""
        return Situation.of(self.home)

    @property
    def warehouse(self) -> Warehouse:
        """What its runs wrote."""
        return Warehouse(self.home.warehouse_path)

    def versions(self) -> dict[str, str]:
        """Asset to data version."""
        return {name: record.data_version for name, record in self.warehouse.records().items()}

    def settle(self) -> list[str]:
        """What the daemon would do now; the assets computed."""
        return settle(self.home, DEFINITIONS)

    def settle_with(self, package: Path) -> list[str]:
        """The same by another copy of the project's source, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-c", SETTLE, self.home.path, package],
            env={
                **os.environ,
                "PYTHONPATH": str(package.parent),
                HOME_VARIABLE: str(self.home.path),
            },
            cwd=package.parent,
            stdout=subprocess.PIPE,
            check=True,
        )
        names: list[str] = json.loads(done.stdout.splitlines()[-1])
        return names

    def covers_embedded(self) -> dict[str, int]:
        """How many covers each feature asset embedded when it was materialized last."""
        with instance_of(self.home) as instance:
            events = {
                name: instance.get_latest_materialization_event(dg.AssetKey(name))
                for name in EMBEDDERS
            }
        return {
            name: int(str(event.asset_materialization.metadata["covers_embedded"].value))
            for name, event in events.items()
            if event is not None and event.asset_materialization is not None
        }


def touch_sources(place: Place) -> None:
    """Every source file gets the time of now, and the bytes that it had."""
    for file in source_files(place):
        os.utime(file)


def source_files(place: Place) -> list[Path]:
    """Every file that an asset reads, and dataset.toml."""
    now = place.situation
    outside = [spec.outside for spec in stages_in_order() if spec.outside is not None]
    located = [files.locate(now.dataset, now.configuration, place.warehouse) for files in outside]
    return [now.dataset.path, *sorted({file for files, _ in located for file in files})]


def add_interaction(place: Place) -> None:
    """A user of the matrix does with a train project what the user did with another before.

    The row goes into the interaction file, which must be Parquet with plain column names.
    """
    dataset = place.situation.dataset
    frame = place.warehouse.frame
    matrix = frame("pruned_matrix", ("user_id", "project_id"))
    train = frame("training_set", ("project_id",), where="split = 'train'")["project_id"]
    file = interaction_files(dataset)[0]
    columns = dataset.interactions.columns
    rows = pl.read_parquet(file)
    known = rows.filter(
        pl.col(str(columns.kind)).is_in([
            kind for kind, said in dataset.kinds.items() if said.truth
        ]),
        pl.col(columns.user_id).cast(pl.String).is_in(matrix["user_id"].to_list()),
    )
    row = known.head(1)
    user = str(row[columns.user_id][0])
    theirs = matrix.filter(user_id=user)["project_id"].to_list()
    project = next(name for name in train.to_list() if name not in theirs)
    new = row.with_columns(
        pl.lit(project).cast(rows.schema[columns.project_id]).alias(columns.project_id)
    )
    pl.concat([rows, new]).write_parquet(file)


def change_cover(place: Place) -> str:
    """Another picture for the test project of most users in the matrix, of a look of its own.

    Returns its id. Scores look at it: who is not in the matrix has no factors and is not judged.
    """
    frame = place.warehouse.frame
    covers = frame("covers", where="status = 'ok'")
    alone = covers.filter(pl.len().over("look_component") == 1, pl.len().over("sha256") == 1)
    matrix = frame("pruned_matrix", ("user_id", "project_id"))
    chosen = (
        alone
        .join(frame("project_split", where="split = 'test'"), on="project_id")
        .join(matrix.group_by("project_id").len("n_users"), on="project_id")
        .sort("n_users", "project_id", descending=[True, False])
        .row(0, named=True)
    )
    path = Path(chosen["path"])
    assert path.is_relative_to(covers_folder(place.situation.dataset)), "settle after a move first"
    repaint(path)
    return str(chosen["project_id"])


def train_longer(place: Place) -> None:
    """One epoch more."""
    epochs = place.situation.configuration.vision.epochs + 1
    chosen = Choices.read(place.home.config_path).with_assignments([f"vision.epochs={epochs}"])
    chosen.write(place.home.config_path)


def edited_package(folder: Path, edit: Callable[[Path, str], str]) -> Path:
    """A copy of the project's source below a folder, every file as `edit` returns its text."""
    ignored = shutil.ignore_patterns("__pycache__")
    package = shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=ignored)
    shutil.copy(PACKAGE.parent / "pyproject.toml", folder)  # in it Dagster finds the package
    for file in package.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        file.write_text(edit(file.relative_to(package), text), encoding="utf-8")
    return Path(package)


def commented(_: Path, text: str) -> str:
    """A file with one comment more."""
    return f"{text}# Nothing that a computer reads.\n"
