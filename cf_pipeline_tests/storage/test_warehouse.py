from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.storage.artifacts import Artifact, Artifacts
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.warehouse import Warehouse

Frames = Callable[..., pl.DataFrame]
Drafts = Callable[..., Draft]


def test_a_warehouse_without_a_file_reads_as_empty(warehouse: Warehouse) -> None:
    assert warehouse.tables() == []
    assert not warehouse.has("covers")
    assert warehouse.record("covers") is None
    assert warehouse.records() == {}
    with pytest.raises(DataError, match=r"covers is not in .* Materialize the asset covers"):
        warehouse.frame("covers")
    assert not warehouse.path.exists()


def test_a_companion_table_names_the_asset_that_writes_it(warehouse: Warehouse) -> None:
    with pytest.raises(DataError, match="Materialize the asset trained_cnn first"):
        warehouse.frame("training_history")


def test_rows_come_back_in_key_order_with_chosen_columns(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    rows = pl.concat([splits("train", "c", "a"), splits("test", "b")])
    warehouse.publish(draft("project_split"), Write({"project_split": rows}))
    assert warehouse.frame("project_split")["project_id"].to_list() == ["a", "b", "c"]
    found = warehouse.frame(
        "project_split", ["split"], "split = ? OR project_id = ?", ["test", "c"]
    )
    assert found.to_dict(as_series=False) == {"split": ["test", "train"]}
    with pytest.raises(DataError, match="columns nothing of project_split"):
        warehouse.frame("project_split", ["nothing"])


def test_vectors_keep_every_bit(warehouse: Warehouse, draft: Drafts) -> None:
    factors = np.random.default_rng(0).normal(size=(50, 128)).astype(np.float32)
    rows = pl.DataFrame({
        "side": ["user"] * 50,
        "id": [f"{row:02d}" for row in range(50)],
        "factors": factors,
        "folded_in": [False] * 50,
    })
    warehouse.publish(draft("latent_factors"), Write({"latent_factors": rows}))
    found = warehouse.frame("latent_factors")
    assert found.schema["factors"] == pl.Array(pl.Float32, 128)
    np.testing.assert_array_equal(found["factors"].to_numpy(), factors)
    with warehouse.read() as connection:
        (nearest,) = connection.execute(
            "SELECT max(array_cosine_similarity(factors, factors)) FROM latent_factors"
        ).fetchall()
    assert nearest[0] == pytest.approx(1)


def test_lists_of_one_length_are_stored_as_arrays(warehouse: Warehouse, draft: Drafts) -> None:
    rows = pl.DataFrame({
        "side": ["user", "project"],
        "id": ["1", "1"],
        "factors": [[1.0, 2.0], [3.0, 4.0]],
        "folded_in": [False, True],
    })
    warehouse.publish(draft("latent_factors"), Write({"latent_factors": rows}))
    assert warehouse.frame("latent_factors").schema["factors"] == pl.Array(pl.Float32, 2)


def test_feature_sets_of_several_lengths_share_a_column_of_lists(
    warehouse: Warehouse, draft: Drafts
) -> None:
    rows = pl.DataFrame({
        "project_id": ["p", "p"],
        "feature_set": ["random", "color"],
        "sha256": ["00", "00"],
        "features": [[1.0, 2.0, 3.0], [4.0]],
    })
    warehouse.publish(draft("simple_embeddings"), Write({"simple_embeddings": rows}))
    found = warehouse.frame("simple_embeddings")
    assert found["features"].to_list() == [[4.0], [1.0, 2.0, 3.0]]


def test_an_empty_frame_gives_an_empty_table_with_the_right_columns(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    warehouse.publish(draft("project_split"), Write({"project_split": splits("train", "a")}))
    warehouse.publish(draft("project_split"), Write({"project_split": splits("train")}))
    found = warehouse.frame("project_split")
    assert found.is_empty()
    assert found.schema == {"project_id": pl.String, "split": pl.String}
    assert warehouse.record("project_split") is not None


def test_nulls_come_back_as_nulls(warehouse: Warehouse, draft: Drafts) -> None:
    rows = pl.DataFrame({
        "project_id": ["a", "b"],
        "title": ["", None],
        "split_group": ["", None],
        "stratum": ["", None],
        "field": ["", None],
        "subfield": ["", None],
        "owners": [[], None],
        "tags": [["x", ""], None],
        "cover": [None, None],
    })
    rejected = "SELECT NULL AS file, NULL AS row_number, NULL AS reason, NULL AS content LIMIT 0"
    tables = {"raw_projects": rows, "raw_projects_rejected": rejected}
    warehouse.publish(draft("raw_projects"), Write(tables))
    found = warehouse.frame("raw_projects")
    assert found.row(0, named=True)["title"] == ""
    assert found.row(0, named=True)["owners"] == []
    assert found.row(0, named=True)["tags"] == ["x", ""]
    assert set(found.row(1)[1:]) == {None}
    assert warehouse.frame("raw_projects_rejected").schema["row_number"] == pl.Int64


def test_columns_may_stand_in_any_order_and_keep_their_values(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    warehouse.publish(draft("project_split"), Write({"project_split": splits("train", "a")}))
    swapped = splits("test", "a").select("split", "project_id")
    warehouse.publish(draft("project_split"), Write({"project_split": swapped}))
    assert warehouse.frame("project_split").rows() == [("a", "test")]


def test_a_table_stored_with_other_columns_is_replaced(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    with warehouse.write() as connection:
        connection.execute("CREATE TABLE project_split AS SELECT 1 AS split, 2 AS gone")
    warehouse.publish(draft("project_split"), Write({"project_split": splits("test", "a")}))
    assert warehouse.frame("project_split").columns == ["project_id", "split"]


def test_a_table_describes_itself_in_the_file(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    warehouse.publish(draft("project_split"), Write({"project_split": splits("test", "a")}))
    with warehouse.read() as connection:
        comments = connection.execute(
            "SELECT comment FROM duckdb_columns() WHERE table_name = 'project_split'"
        ).fetchall()
    assert comments == [("Outside key of the project.",), ("Side of the held-out rule.",)]


def test_the_record_says_what_was_computed(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    earlier = timezone(timedelta(hours=2))
    written = warehouse.publish(
        draft(
            "project_split",
            computed_at=datetime(2026, 5, 1, 12, tzinfo=earlier),
            metadata={"moves": 3, "shares": [0.5, 0.25]},
        ),
        Write({"project_split": splits("test", "a")}),
    )
    assert warehouse.record("project_split") == written
    assert written.computed_at == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert written.computed_at.tzinfo is UTC
    assert written.inputs == {"raw_projects": "v1"}
    assert written.metadata == {"moves": 3, "shares": [0.5, 0.25]}
    again = warehouse.publish(
        draft("project_split", run_id="run-2", data_version="mine"),
        Write({"project_split": splits("test", "a")}),
    )
    assert warehouse.records() == {"project_split": again}
    assert again.data_version == "mine"


def test_there_is_no_record_without_the_table(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    warehouse.publish(draft("project_split"), Write({"project_split": splits("test", "a")}))
    with warehouse.write() as connection:
        connection.execute("DROP TABLE project_split")
    assert warehouse.record("project_split") is None


def test_artifacts_are_recorded_with_the_rows(
    warehouse: Warehouse, draft: Drafts, splits: Frames, tmp_path: Path
) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    with artifacts.draft() as draft_folder:
        (draft_folder / "weights").write_bytes(b"123")
        artifact = artifacts.publish(draft_folder, "weights")
    tables = {"project_split": splits("test", "a")}
    for _ in range(2):
        warehouse.publish(draft("project_split"), Write(tables, artifacts=[artifact]))
    (row,) = warehouse.frame("artifacts").rows(named=True)
    assert tmp_path / row["path"] == artifact.path
    assert (row["version"], row["n_bytes"]) == (artifact.version, 3)
    outside = Artifact("weights", "0" * 64, tmp_path.parent / "x", 1, ("x",))
    with pytest.raises(DataError, match="lies outside"):
        warehouse.publish(draft("project_split"), Write(tables, artifacts=[outside]))


def test_an_exception_leaves_everything_as_it_was(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    before = warehouse.publish(
        draft("project_split"), Write({"project_split": splits("test", "a")})
    )
    for torn in ("SELECT no_such_column FROM range(1)", "SELECT error('torn')"):
        with pytest.raises(duckdb.Error):
            _write(warehouse, "DROP TABLE project_split", "CREATE TABLE more AS SELECT 1", torn)
    assert warehouse.tables() == ["asset_records", "project_split", "record_history"]
    assert warehouse.frame("project_split").rows() == [("a", "test")]
    assert warehouse.record("project_split") == before


def _write(warehouse: Warehouse, *statements: str) -> None:
    with warehouse.write() as connection:
        for statement in statements:
            connection.execute(statement).fetchall()


def test_nothing_can_be_written_by_a_reader(warehouse: Warehouse) -> None:
    warehouse.merge("file_hashes", pl.DataFrame(schema=_FILE_HASHES))
    with pytest.raises(duckdb.Error, match="read-only"), warehouse.read() as connection:
        connection.execute("CREATE TABLE x AS SELECT 1 AS a")


_FILE_HASHES = {
    "path": pl.String,
    "size_bytes": pl.Int64,
    "mtime_ns": pl.Int64,
    "sha256": pl.String,
}


def test_merge_replaces_rows_of_equal_key_only(warehouse: Warehouse) -> None:
    rows = [("/a", 1, 1, "x"), ("/b", 1, 1, "y")]
    warehouse.merge("file_hashes", pl.DataFrame(rows, schema=_FILE_HASHES, orient="row"))
    rows = [("/b", 2, 2, "z"), ("/c", 2, 2, "w")]
    warehouse.merge("file_hashes", pl.DataFrame(rows, schema=_FILE_HASHES, orient="row"))
    assert [row[3] for row in warehouse.frame("file_hashes").rows()] == ["x", "z", "w"]


def test_a_read_within_a_read_works_and_what_would_wait_for_itself_is_refused(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    warehouse.publish(draft("project_split"), Write({"project_split": splits("test", "a")}))
    with warehouse.read():
        assert warehouse.has("project_split")
        with pytest.raises(RuntimeError, match="would wait for itself"), warehouse.write():
            pass
    with warehouse.write(), pytest.raises(RuntimeError, match="would wait for itself"):
        warehouse.tables()
    with warehouse.write(), pytest.raises(RuntimeError), warehouse.write():
        pass
    assert warehouse.has("project_split")


def test_threads_of_one_process_take_turns(warehouse: Warehouse) -> None:
    other = Warehouse(warehouse.path, memory_limit="500MB", threads=2)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        mine = warehouse if number % 2 else other
        try:
            for row in range(3):
                path = [(f"/{number}/{row}", 1, 1, "x")]
                mine.merge("file_hashes", pl.DataFrame(path, schema=_FILE_HASHES, orient="row"))
                assert mine.has("file_hashes")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(warehouse.frame("file_hashes")) == 12


def test_a_thread_that_waits_too_long_says_so(warehouse: Warehouse) -> None:
    hasty = Warehouse(warehouse.path, lock_timeout_seconds=0.1)
    failures: list[Exception] = []

    def work() -> None:
        try:
            hasty.tables()
        except DataError as error:
            failures.append(error)

    with warehouse.write():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert "another thread of this process for more than 0.1 s" in str(failures[0])


@pytest.mark.parametrize("content", [b"", b"user_id,project_id\n" * 1000])
def test_a_file_that_is_no_database_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(content)
    for attempt in (Warehouse(path).read, Warehouse(path).write):
        with pytest.raises(DataError, match=r"warehouse\.duckdb cannot be opened"), attempt():
            pass
    assert path.read_bytes() == content


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "no" / "warehouse.duckdb")
    with pytest.raises(DataError, match="could not be made"), warehouse.write():
        pass


def test_an_open_connection_of_the_same_process_is_reported(warehouse: Warehouse) -> None:
    with warehouse.write():
        pass
    connection = duckdb.connect(str(warehouse.path))
    try:
        with pytest.raises(RuntimeError, match="by a connection of its own"), warehouse.read():
            pass
    finally:
        connection.close()


def test_settings_that_duckdb_does_not_take_are_named(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "warehouse.duckdb", memory_limit="much")
    with pytest.raises(ConfigError, match="much"), warehouse.write():
        pass


def test_making_the_file_leaves_nothing_beside_it(warehouse: Warehouse) -> None:
    with warehouse.write():
        pass
    assert [path.name for path in warehouse.path.parent.iterdir()] == ["warehouse.duckdb"]


def test_waiting_is_silent_when_nobody_is_in_the_way(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), warehouse.write():
        pass
    assert caplog.records == []
