"""Assets of one home in another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.storage.copying import copy_assets
from cf_pipeline.storage.history import history
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.warehouse import Warehouse

Frames = Callable[..., pl.DataFrame]
Drafts = Callable[..., Draft]


@pytest.fixture
def source(tmp_path: Path, draft: Drafts, splits: Frames, embeddings: Frames) -> Warehouse:
    """A home in which one asset was computed twice, and hashes of files are known."""
    folder = tmp_path / "it's another"
    folder.mkdir()
    source = Warehouse(folder / "warehouse.duckdb", threads=1, lock_timeout_seconds=30)
    for run, ids in (("run-1", "a"), ("run-2", "ab")):
        rows = {"project_split": splits("train", *ids)}
        source.publish(draft("project_split", run_id=run), Write(rows))
    source.publish(draft("embeddings"), Write({"embeddings": embeddings("m1")}, scope="m1"))
    source.merge("file_hashes", hashes("/a", "/b"))
    return source


def hashes(*paths: str) -> pl.DataFrame:
    return pl.DataFrame([
        {"path": path, "size_bytes": 1, "mtime_ns": 1, "sha256": "x"} for path in paths
    ])


def test_rows_records_history_and_hashes_come_along(
    source: Warehouse, warehouse: Warehouse
) -> None:
    copy_assets(source.path, warehouse, ["project_split", "embeddings"])
    for table in ("project_split", "embeddings", "file_hashes"):
        assert warehouse.frame(table).equals(source.frame(table))
        assert warehouse.frame(table).schema == source.frame(table).schema
    assert warehouse.records() == source.records()
    assert history(warehouse, "project_split") == history(source, "project_split")
    assert len(history(warehouse, "project_split")) == 2
    with warehouse.read() as connection:
        comments = connection.execute(
            "SELECT comment FROM duckdb_columns() WHERE table_name = 'project_split'"
        ).fetchall()
        databases = connection.execute("SHOW DATABASES").fetchall()
    assert comments == [("Outside key of the project.",), ("Side of the held-out rule.",)]
    assert databases == [("warehouse",)]


def test_only_what_was_named_is_replaced(
    source: Warehouse, warehouse: Warehouse, draft: Drafts, splits: Frames, embeddings: Frames
) -> None:
    warehouse.publish(draft("project_split"), Write({"project_split": splits("test", "z")}))
    mine = warehouse.publish(
        draft("embeddings"), Write({"embeddings": embeddings("m2")}, scope="m2")
    )
    warehouse.merge("file_hashes", hashes("/c"))
    copy_assets(source.path, warehouse, ["project_split"])
    assert warehouse.frame("project_split").equals(source.frame("project_split"))
    assert warehouse.record("embeddings") == mine
    assert set(warehouse.frame("embeddings")["model_version"]) == {"m2"}
    assert warehouse.frame("file_hashes")["path"].to_list() == ["/a", "/b", "/c"]


def test_what_is_copied_can_be_written_again(
    source: Warehouse, warehouse: Warehouse, draft: Drafts, embeddings: Frames
) -> None:
    copy_assets(source.path, warehouse, ["embeddings"])
    warehouse.publish(draft("embeddings"), Write({"embeddings": embeddings("m2")}, scope="m2"))
    assert set(warehouse.frame("embeddings")["model_version"]) == {"m1", "m2"}
    assert set(source.frame("embeddings")["model_version"]) == {"m1"}


def test_what_was_not_computed_there_is_named_and_nothing_changes(
    source: Warehouse, warehouse: Warehouse
) -> None:
    message = r"holds no rows of covers, nothing; .*there: embeddings, project_split\."
    with pytest.raises(DataError, match=message):
        copy_assets(source.path, warehouse, ["project_split", "covers", "nothing"])
    assert warehouse.tables() == []
    with pytest.raises(DataError, match=r"is not there, expected the warehouse\.duckdb"):
        copy_assets(source.path.with_name("no.duckdb"), warehouse, ["project_split"])


def test_an_empty_source_and_the_target_itself_are_refused(
    tmp_path: Path, warehouse: Warehouse
) -> None:
    empty = Warehouse(tmp_path / "empty.duckdb")
    with empty.write():
        pass
    with pytest.raises(DataError, match="computed there: nothing"):
        copy_assets(empty.path, warehouse, ["covers"])
    with pytest.raises(RuntimeError, match="would wait for itself"):
        copy_assets(warehouse.path, warehouse, ["covers"])


def test_a_source_that_another_process_writes_is_waited_for(
    source: Warehouse, warehouse: Warehouse
) -> None:
    code = (
        "import sys, time, duckdb; c = duckdb.connect(sys.argv[1]); print('open', flush=True); "
        "time.sleep(0.5)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(source.path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        copy_assets(source.path, warehouse, ["project_split"])
    assert warehouse.has("project_split")
