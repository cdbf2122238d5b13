"""Tables in which a write replaces the rows of one model version."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cf_pipeline.errors import DataError
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.warehouse import Warehouse

Frames = Callable[..., pl.DataFrame]
Drafts = Callable[..., Draft]


def rows_of(warehouse: Warehouse, model_version: str) -> pl.DataFrame:
    rows = warehouse.frame("embeddings", where="model_version = ?", parameters=[model_version])
    return rows.with_columns(pl.col("features", "predicted_factors").cast(pl.List(pl.Float32)))


def as_lists(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("features", "predicted_factors").cast(pl.List(pl.Float32)))


def test_a_write_replaces_its_version_and_keeps_the_others(
    warehouse: Warehouse, draft: Drafts, embeddings: Frames
) -> None:
    for rows in (embeddings("m1"), embeddings("m2", 5), embeddings("m1", 2, seed=1)):
        scope = rows["model_version"][0]
        warehouse.publish(draft("embeddings"), Write({"embeddings": rows}, scope=scope))
    assert_frame_equal(rows_of(warehouse, "m1"), as_lists(embeddings("m1", 2, seed=1)))
    assert_frame_equal(rows_of(warehouse, "m2"), as_lists(embeddings("m2", 5)))
    assert warehouse.frame("embeddings").schema["features"] == pl.Array(pl.Float32, 4)


def test_versions_of_other_lengths_share_lists_until_they_agree_again(
    warehouse: Warehouse, draft: Drafts, embeddings: Frames
) -> None:
    def publish(rows: pl.DataFrame) -> pl.DataFrame:
        scope = rows["model_version"][0]
        warehouse.publish(draft("embeddings"), Write({"embeddings": rows}, scope=scope))
        return warehouse.frame("embeddings")

    assert publish(embeddings("m1")).schema["predicted_factors"] == pl.Array(pl.Float32, 2)
    mixed = publish(embeddings("m2", n_factors=3))
    assert mixed.schema["predicted_factors"] == pl.List(pl.Float32)
    assert mixed.schema["features"] == pl.Array(pl.Float32, 4)
    assert_frame_equal(rows_of(warehouse, "m1"), as_lists(embeddings("m1")))
    assert_frame_equal(rows_of(warehouse, "m2"), as_lists(embeddings("m2", n_factors=3)))
    publish(embeddings("m2", n_factors=3, seed=1))
    again = publish(embeddings("m1", n_factors=3))
    assert again.schema["predicted_factors"] == pl.Array(pl.Float32, 3)
    assert len(again) == 6


def test_the_only_version_may_change_its_length(
    warehouse: Warehouse, draft: Drafts, embeddings: Frames
) -> None:
    for n_factors in (2, 3):
        rows = embeddings("m1", n_factors=n_factors)
        warehouse.publish(draft("embeddings"), Write({"embeddings": rows}, scope="m1"))
    assert_frame_equal(warehouse.frame("embeddings"), embeddings("m1", n_factors=3))


def test_an_empty_version_takes_its_rows_away(
    warehouse: Warehouse, draft: Drafts, embeddings: Frames
) -> None:
    for rows in (embeddings("m1"), embeddings("m2")):
        scope = rows["model_version"][0]
        warehouse.publish(draft("embeddings"), Write({"embeddings": rows}, scope=scope))
    empty = as_lists(embeddings("m1")).clear()
    warehouse.publish(draft("embeddings"), Write({"embeddings": empty}, scope="m1"))
    assert_frame_equal(warehouse.frame("embeddings"), embeddings("m2"))


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE embeddings DROP sha256",
        "ALTER TABLE embeddings ADD COLUMN gone INTEGER DEFAULT 7",
        "CREATE OR REPLACE TABLE embeddings AS SELECT features, * EXCLUDE (features) "
        "FROM embeddings",
        "ALTER TABLE embeddings ALTER predicted_factors TYPE DOUBLE[2]",
    ],
    ids=["column added", "column removed", "columns reordered", "type changed"],
)
def test_other_versions_survive_a_change_of_columns(
    warehouse: Warehouse, draft: Drafts, embeddings: Frames, change: str
) -> None:
    warehouse.publish(draft("embeddings"), Write({"embeddings": embeddings("m1")}, scope="m1"))
    with warehouse.write() as connection:  # what an older release might have stored
        connection.execute(change)
    warehouse.publish(draft("embeddings"), Write({"embeddings": embeddings("m2")}, scope="m2"))
    assert_frame_equal(rows_of(warehouse, "m2"), as_lists(embeddings("m2")))
    kept = rows_of(warehouse, "m1")
    assert kept.columns == embeddings("m1").columns
    columns = [name for name in kept.columns if name != "sha256"]
    assert_frame_equal(kept.select(columns), as_lists(embeddings("m1")).select(columns))


def test_kept_rows_that_do_not_convert_stop_the_write(
    warehouse: Warehouse, draft: Drafts, embeddings: Frames
) -> None:
    with warehouse.write() as connection:
        connection.execute(
            "CREATE TABLE embeddings AS SELECT 'p' AS project_id, 'm0' AS model_version, "
            "'00' AS sha256, 'text' AS features, 'text' AS predicted_factors"
        )
    with pytest.raises(DataError, match="embeddings cannot be computed"):
        warehouse.publish(draft("embeddings"), Write({"embeddings": embeddings("m1")}, scope="m1"))
    assert warehouse.frame("embeddings")["features"].to_list() == ["text"]


def test_a_failure_in_the_second_table_takes_back_the_first(
    warehouse: Warehouse, draft: Drafts
) -> None:
    network = (
        "SELECT 'm1' AS model_version, '{}' AS artifact, '{}' AS manifest, "
        "TIMESTAMP '2026-01-01' AS trained_at"
    )
    curve = "SELECT 'm1' AS model_version, 1 AS epoch, 'loss' AS name, 0.5 AS value"
    seen = "SELECT 'm1' AS model_version, 'p1' AS project_id, 'train' AS split"
    tables = {
        "trained_cnn": network.format("a", "{}"),
        "training_history": curve,
        "trained_on": seen,
    }
    before = warehouse.publish(draft("trained_cnn"), Write(tables, scope="m1"))
    torn = {
        "trained_cnn": network.format("b", "{}"),
        "training_history": curve + " UNION ALL " + curve,
        "trained_on": seen,
    }
    with pytest.raises(DataError, match="occurs 2 times"):
        warehouse.publish(draft("trained_cnn"), Write(torn, scope="m1"))
    assert warehouse.frame("trained_cnn")["artifact"].to_list() == ["a"]
    assert warehouse.frame("training_history")["value"].to_list() == [0.5]
    assert warehouse.record("trained_cnn") == before


def test_a_scope_is_taken_literally(
    warehouse: Warehouse, draft: Drafts, embeddings: Frames
) -> None:
    for scope in ("m'; DROP TABLE embeddings; --", "m"):
        warehouse.publish(
            draft("embeddings"), Write({"embeddings": embeddings(scope)}, scope=scope)
        )
    assert len(warehouse.frame("embeddings")) == 6
