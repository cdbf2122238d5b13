"""Which model versions go, with what, and that nothing goes that a row names."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cf_pipeline.storage.artifacts import Artifact, Artifacts
from cf_pipeline.storage.collecting import collect, plan
from cf_pipeline.storage.history import history
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.warehouse import Warehouse

PROMOTED = (
    "SELECT '{}' AS model_version, now()::TIMESTAMP AS promoted_at, '{}' AS role, '' AS reason"
)
COMPARED = (
    "SELECT '{}' AS model_version, 'test' AS split, 'best' AS reference_role, "
    "'{}' AS reference_version, "
    "'ndcg_at_10' AS measure, 0.5 AS value, 0.5 AS reference_value, 0.0 AS difference, "
    "0.0 AS low, 0.0 AS high, 1 AS n_queries, 1 AS n_groups"
)
DIES = """
import os, signal, sys
from pathlib import Path
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.collecting import collect, plan
from cf_pipeline.storage.warehouse import Warehouse

class Dying(Artifacts):
    def remove(self, path):
        os.kill(os.getpid(), signal.SIGKILL)

warehouse, artifacts = Warehouse(Path(sys.argv[1])), Dying(Path(sys.argv[2]))
collect(warehouse, artifacts, plan(warehouse, artifacts, keep=()))
"""


@dataclass
class Models:
    """A home in which networks were trained."""

    warehouse: Warehouse
    artifacts: Artifacts
    draft: Callable[..., Draft]
    embeddings: Callable[..., pl.DataFrame]

    def publish(self, content: bytes, kind: str = "checkpoint") -> Artifact:
        with self.artifacts.draft() as draft_folder:
            (draft_folder / "weights").write_bytes(content)
            return self.artifacts.publish(draft_folder, kind)

    def train(self, seed: int, embedded: bool = False, **inputs: str) -> str:
        """Train, and perhaps embed with it; returns the model version."""
        artifact = self.publish(b"%d" % seed * 100)
        version = artifact.version[:16]
        tables = {
            "trained_cnn": f"SELECT '{version}' AS model_version, '{artifact.version}' AS artifact,"
            " '{}' AS manifest, now()::TIMESTAMP AS trained_at",
            "training_history": f"SELECT '{version}' AS model_version, e AS epoch, "
            "'loss' AS name, 0.5 AS value FROM range(4) AS r(e)",
            "trained_on": f"SELECT '{version}' AS model_version, 'p' AS project_id, "
            "'train' AS split",
        }
        record = self.draft("trained_cnn", data_version=version, inputs=inputs)
        self.warehouse.publish(record, Write(tables, scope=version, artifacts=[artifact]))
        if embedded:
            record = self.draft("embeddings", inputs={"trained_cnn": version})
            rows = {"embeddings": self.embeddings(version)}
            self.warehouse.publish(record, Write(rows, scope=version))
        return version

    def promote(self, compared: tuple[str, str] | None = None, **roles: str) -> None:
        tables = {
            "promoted_model": " UNION ALL ".join(
                PROMOTED.format(version, role) for role, version in roles.items()
            ),
            "promotion_comparisons": COMPARED.format(*compared)
            if compared
            else COMPARED.format("", "") + " LIMIT 0",
        }
        self.warehouse.publish(self.draft("promoted_model"), Write(tables))

    def folder(self, version: str) -> Path:
        return self.artifacts.folder / "checkpoint" / version

    def rows(self) -> dict[str, list[Any]]:
        with self.warehouse.read() as connection:
            names = [name for (name,) in connection.execute("SHOW TABLES").fetchall()]
            return {
                name: connection.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in names
            }


@pytest.fixture
def models(
    warehouse: Warehouse,
    draft: Callable[..., Draft],
    embeddings: Callable[..., pl.DataFrame],
    tmp_path: Path,
) -> Models:
    return Models(warehouse, Artifacts(tmp_path / "artifacts"), draft, embeddings)


def test_an_empty_home_has_nothing_to_collect(models: Models) -> None:
    planned = plan(models.warehouse, models.artifacts, keep=())
    assert (planned.versions, planned.rows, planned.folders, planned.n_bytes) == ((), {}, (), 0)
    assert collect(models.warehouse, models.artifacts, planned) == planned
    assert not models.warehouse.path.exists()


def test_a_page_that_was_written_anew_goes_and_the_current_one_stays(models: Models) -> None:
    pages = []
    for content in (b"old page", b"new page"):
        page = models.publish(content, kind="gallery")
        row = f"SELECT 'm' AS model_version, '{page.version}' AS artifact, 1 AS n_covers, "
        places = "SELECT 'p' AS project_id, 0.5::FLOAT AS x, 0.5::FLOAT AS y"
        tables = {"gallery": f"{row} 8 AS n_bytes", "cover_map": places}
        record = models.draft("gallery", metadata={"artifacts": {"gallery": page.version}})
        models.warehouse.publish(record, Write(tables, artifacts=[page]))
        pages.append(page)
    planned = plan(models.warehouse, models.artifacts, keep=())
    assert planned.folders == (pages[0].path,)
    collect(models.warehouse, models.artifacts, planned)
    assert models.artifacts.folders() == [pages[1].path]


def test_old_versions_go_with_their_rows_and_folders(models: Models) -> None:
    old, older, kept, newest = (models.train(seed, embedded=True) for seed in range(4))
    before = models.rows()
    planned = plan(models.warehouse, models.artifacts, keep=[kept])
    assert planned.versions == tuple(sorted([old, older]))
    assert planned.rows == {
        "embeddings": 6, "trained_cnn": 2, "trained_on": 2, "training_history": 8,
    }  # fmt: skip
    assert planned.folders == tuple(sorted(map(models.folder, (old, older))))
    assert planned.n_bytes == 200
    assert models.rows() == before
    assert collect(models.warehouse, models.artifacts, planned) == planned
    assert models.artifacts.folders() == sorted(map(models.folder, (kept, newest)))
    for table in (*planned.rows, "artifacts"):
        column = "left(version, 16)" if table == "artifacts" else "model_version"
        with models.warehouse.read() as connection:
            found = connection.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()
        assert {version for (version,) in found} == {kept, newest}
    assert len(history(models.warehouse, "trained_cnn")) == 4
    again = plan(models.warehouse, models.artifacts, keep=[kept])
    assert (again.versions, again.folders) == ((), ())
    collect(models.warehouse, models.artifacts, planned)  # what is gone already is no error


def test_what_a_check_said_of_a_model_keeps_nothing(models: Models) -> None:
    old, newest = (models.train(seed) for seed in range(2))
    said = {"checks": {"fell": {"message": f"Worse than model {old}."}}}
    places = "SELECT 'p' AS project_id, 0.5::FLOAT AS x, 0.5::FLOAT AS y"
    row = f"SELECT '{newest}' AS model_version, 'a' AS artifact, 1 AS n_covers, 8 AS n_bytes"
    record = models.draft("gallery", metadata=said)
    models.warehouse.publish(record, Write({"gallery": row, "cover_map": places}))
    assert plan(models.warehouse, models.artifacts, keep=()).folders == (models.folder(old),)


def test_what_is_promoted_compared_newest_or_an_input_stays(models: Models) -> None:
    names = ["going", "champion", "best", "reference", "start", "embedded", "newest"]
    made = {name: models.train(seed, embedded=name == "embedded") for seed, name in
            enumerate(names[:-1])}  # fmt: skip
    made["newest"] = models.train(9, start=made["start"])
    models.promote(
        compared=(made["newest"], made["reference"]),
        champion=made["champion"], best=made["best"], challenger=made["newest"],
    )  # fmt: skip
    planned = plan(models.warehouse, models.artifacts, keep=())
    assert planned.versions == (made["going"],)
    assert planned.folders == (models.folder(made["going"]),)
    collect(models.warehouse, models.artifacts, planned)
    staying = {version for name, version in made.items() if name != "going"}
    assert {path.name for path in models.artifacts.folders()} == staying
    assert set(models.warehouse.frame("trained_cnn")["model_version"]) == staying


def test_rows_without_a_network_go_too(models: Models) -> None:
    newest = models.train(1, embedded=True)
    rows = {"embeddings": models.embeddings("gone")}
    models.warehouse.publish(models.draft("embeddings", inputs={}), Write(rows, scope="gone"))
    planned = plan(models.warehouse, models.artifacts, keep=[])
    assert (planned.versions, planned.rows, planned.folders) == (("gone",), {"embeddings": 3}, ())
    collect(models.warehouse, models.artifacts, planned)
    assert set(models.warehouse.frame("embeddings")["model_version"]) == {newest}


def test_an_artifact_stays_while_the_record_of_an_asset_names_it(models: Models) -> None:
    models.train(1)
    index, other = (models.publish(content, "index") for content in (b"1", b"2"))
    split = {"project_split": "SELECT 'p' AS project_id, 'train' AS split"}
    record = models.draft("project_split", metadata={"index": index.version})
    models.warehouse.publish(record, Write(split, artifacts=[index, other]))
    planned = plan(models.warehouse, models.artifacts, keep=())
    assert (planned.versions, planned.folders) == ((), (other.path,))
    collect(models.warehouse, models.artifacts, planned)
    assert index.path.is_dir()
    kinds = models.warehouse.frame("artifacts")["kind"].to_list()
    assert sorted(kinds) == ["checkpoint", "index"]


def test_killed_after_the_commit_leaves_folders_that_the_next_plan_finds(models: Models) -> None:
    old, newest = models.train(1), models.train(2)
    paths = (models.warehouse.path, models.artifacts.folder)
    killed = subprocess.run([sys.executable, "-c", DIES, *map(str, paths)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert models.folder(old).is_dir()
    assert set(models.warehouse.frame("trained_cnn")["model_version"]) == {newest}
    again = plan(models.warehouse, models.artifacts, keep=())
    assert (again.versions, again.folders) == ((), (models.folder(old),))
    collect(models.warehouse, models.artifacts, again)
    assert models.artifacts.folders() == [models.folder(newest)]
