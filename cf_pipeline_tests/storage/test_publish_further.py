"""Rows of further model versions, the last look before the commit, and the history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cf_pipeline.errors import DataError
from cf_pipeline.storage.history import history, version_record
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.warehouse import Warehouse

Frames = Callable[..., pl.DataFrame]
Drafts = Callable[..., Draft]


def rows_of(warehouse: Warehouse, model_version: str) -> pl.DataFrame:
    rows = warehouse.frame("embeddings", where="model_version = ?", parameters=[model_version])
    return as_lists(rows)


def as_lists(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("features", "predicted_factors").cast(pl.List(pl.Float32)))


def test_rows_of_further_versions_are_written_along_and_do_not_count(
    warehouse: Warehouse, draft: Drafts, embeddings: Frames
) -> None:
    alone = warehouse.publish(
        draft("embeddings"), Write({"embeddings": embeddings("m1")}, scope="m1")
    )
    warehouse.publish(draft("embeddings"), Write({"embeddings": embeddings("m0")}, scope="m0"))
    others: dict[str, dict[str, pl.DataFrame | str]] = {
        "m2": {"embeddings": embeddings("m2", 5, n_factors=3)},
        "m3": {},
    }
    together = warehouse.publish(
        draft("embeddings"), Write({"embeddings": embeddings("m1")}, scope="m1", others=others)
    )
    assert together.data_version == alone.data_version
    assert_frame_equal(rows_of(warehouse, "m2"), as_lists(embeddings("m2", 5, n_factors=3)))
    assert_frame_equal(rows_of(warehouse, "m1"), as_lists(embeddings("m1")))
    assert_frame_equal(rows_of(warehouse, "m0"), as_lists(embeddings("m0")))
    others = {"m2": {"embeddings": embeddings("m2", 2, seed=1)}}
    warehouse.publish(
        draft("embeddings"), Write({"embeddings": embeddings("m1")}, scope="m1", others=others)
    )
    assert_frame_equal(rows_of(warehouse, "m2"), as_lists(embeddings("m2", 2, seed=1)))


def test_of_a_further_version_only_the_tables_at_hand_are_written(
    warehouse: Warehouse, draft: Drafts
) -> None:
    def publish(version: str, **others: dict[str, str]) -> None:
        tables = {
            "trained_cnn": f"SELECT '{version}' AS model_version, 'a' AS artifact, "
            "'{}' AS manifest, TIMESTAMP '2026-01-01' AS trained_at",
            "training_history": f"SELECT '{version}' AS model_version, 1 AS epoch, "
            "'loss' AS name, 0.5 AS value",
            "trained_on": f"SELECT '{version}' AS model_version, 'p' AS project_id, NULL AS split",
        }
        warehouse.publish(draft("trained_cnn"), Write(tables, scope=version, others=others))

    publish("m1")
    more = (
        "SELECT 'm1' AS model_version, 'p' || i AS project_id, 'train' AS split "
        "FROM range(3) AS r(i)"
    )
    publish("m2", m1={"trained_on": more})
    assert warehouse.frame("trained_on").rows() == [
        ("m1", "p0", "train"), ("m1", "p1", "train"), ("m1", "p2", "train"), ("m2", "p", None),
    ]  # fmt: skip
    assert warehouse.frame("training_history")["model_version"].to_list() == ["m1", "m2"]


@pytest.mark.parametrize(
    ("scope", "others", "message"),
    [
        ("m1", {"m1": {"embeddings": 3}}, "came for the scope 'm1'; .*another scope than 'm1'"),
        ("m1", {"m2": {"task_embeddings": 3}}, "rows of task_embeddings came for the scope 'm2'"),
        ("m1", {"m3": {"embeddings": 3}}, "hold another value than 'm3'"),
    ],
)
def test_further_rows_that_cannot_stand_stop_the_write(
    warehouse: Warehouse,
    draft: Drafts,
    embeddings: Frames,
    scope: str,
    others: dict[str, dict[str, Any]],
    message: str,
) -> None:
    before = warehouse.publish(
        draft("embeddings"), Write({"embeddings": embeddings("m1")}, scope="m1")
    )
    given = {
        version: {table: embeddings("m2", n_rows) for table, n_rows in tables.items()}
        for version, tables in others.items()
    }
    changed = embeddings("m1", 1, seed=1)
    with pytest.raises(DataError, match=message):
        warehouse.publish(
            draft("embeddings"), Write({"embeddings": changed}, scope=scope, others=given)
        )
    assert_frame_equal(warehouse.frame("embeddings"), embeddings("m1"))
    assert history(warehouse, "embeddings") == [before]


def test_an_asset_without_scopes_takes_no_further_ones(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    rows = splits("train", "a")
    with pytest.raises(DataError, match="project_split is not scoped"):
        warehouse.publish(
            draft("project_split"),
            Write({"project_split": rows}, others={"m": {"project_split": rows}}),
        )
    warehouse.publish(draft("project_split"), Write({"project_split": rows}, others={}))
    assert len(warehouse.frame("project_split")) == 1


def test_the_last_look_sees_all_rows_and_takes_back_the_write(
    warehouse: Warehouse, draft: Drafts, embeddings: Frames
) -> None:
    before = warehouse.publish(
        draft("embeddings"), Write({"embeddings": embeddings("m1")}, scope="m1")
    )
    seen: list[Any] = []

    def verify(connection: duckdb.DuckDBPyConnection) -> None:
        seen.extend(
            connection.execute(
                "SELECT model_version, count(*) FROM embeddings GROUP BY ALL ORDER BY ALL"
            ).fetchall()
        )
        seen.extend(connection.execute("SELECT run_id FROM asset_records").fetchall())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        warehouse.publish(
            draft("embeddings", run_id="run-2"),
            Write(
                {"embeddings": embeddings("m1", 1)},
                scope="m1",
                others={"m2": {"embeddings": embeddings("m2", 5)}},
                verify=verify,
            ),
        )
    assert seen == [("m1", 1), ("m2", 5), ("run-1",)]
    assert_frame_equal(warehouse.frame("embeddings"), embeddings("m1"))
    assert warehouse.record("embeddings") == before
    assert history(warehouse, "embeddings") == [before]


def test_a_last_look_that_is_content_lets_the_rows_stand(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    def verify(connection: duckdb.DuckDBPyConnection) -> None:
        assert connection.execute("SELECT count(*) FROM project_split").fetchall() == [(1,)]

    tables = {"project_split": splits("train", "a")}
    written = warehouse.publish(draft("project_split"), Write(tables, verify=verify))
    assert warehouse.record("project_split") == written


def test_the_history_keeps_every_record(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    assert history(warehouse, "project_split") == []
    assert version_record(warehouse, "project_split", "v") is None
    assert not warehouse.path.exists()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    written = [
        warehouse.publish(
            draft(
                "project_split",
                run_id=f"run-{number}",
                computed_at=start + timedelta(hours=hours),
                metadata={"number": number},
            ),
            Write({"project_split": splits(split, "a")}),
        )
        for number, (hours, split) in enumerate([
            (1, "train"),
            (2, "test"),
            (2, "train"),
            (0, "validation"),
        ])
    ]
    newest_first = [written[2], written[1], written[0], written[3]]
    assert history(warehouse, "project_split") == newest_first
    assert history(warehouse, "covers") == []
    assert written[0].data_version == written[2].data_version
    found = version_record(warehouse, "project_split", written[0].data_version)
    assert found == written[2]
    found = version_record(warehouse, "project_split", written[1].data_version)
    assert found == written[1]
    assert version_record(warehouse, "covers", written[1].data_version) is None
    assert warehouse.records() == {"project_split": written[3]}


def test_a_history_that_begins_late_begins_with_what_is_recorded(
    warehouse: Warehouse, draft: Drafts, splits: Frames
) -> None:
    before = warehouse.publish(
        draft("project_split"), Write({"project_split": splits("train", "a")})
    )
    with warehouse.write() as connection:  # what an older release leaves
        connection.execute("DROP TABLE record_history")
    assert history(warehouse, "project_split") == []
    after = warehouse.publish(
        draft("project_split", run_id="run-2"), Write({"project_split": splits("test", "a")})
    )
    assert history(warehouse, "project_split") == [after, before]
