"""A warehouse that release 0.1.0 wrote, and one that lacks what a later one declares."""

from __future__ import annotations

import dataclasses
import tarfile
from pathlib import Path

import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.storage import tables
from cf_pipeline.storage.history import history
from cf_pipeline.storage.schema import VECTOR, Column, Table
from cf_pipeline.storage.tables import ASSET_OF, ASSET_TABLES, TABLES
from cf_pipeline.storage.warehouse import Warehouse

HOMES = Path(__file__).parents[1] / "end_to_end" / "homes"


@pytest.fixture
def earlier(tmp_path: Path) -> Warehouse:
    with tarfile.open(HOMES / "home_0_1_0.tar.xz") as archive:
        archive.extract("home/warehouse.duckdb", tmp_path, filter="data")
    return Warehouse(tmp_path / "home" / "warehouse.duckdb", threads=1)


def test_every_record_of_an_earlier_release_is_seen(earlier: Warehouse) -> None:
    with earlier.read() as connection:
        named = connection.execute("SELECT asset FROM asset_records ORDER BY asset").fetchall()
    assert list(earlier.records()) == [asset for (asset,) in named]
    assert len(named) > 10
    for asset in earlier.records():
        assert earlier.record(asset) in history(earlier, asset)


@pytest.mark.slow
def test_every_table_of_an_earlier_release_is_read_with_the_columns_declared_now(
    earlier: Warehouse,
) -> None:
    for asset in earlier.records():
        for name in ASSET_TABLES[asset]:
            declared = [column.name for column in TABLES[name].columns]
            assert earlier.frame(name, declared).columns == declared
            assert set(earlier.frame(name).columns) >= set(declared)


def test_what_0_1_0_lacks_is_empty_or_null(earlier: Warehouse) -> None:
    assert not earlier.has("similarity_queries")
    assert earlier.record("similarity_scores") is not None
    assert earlier.frame("similarity_queries").is_empty()
    seen = earlier.frame("trained_on")
    assert seen["split"].null_count() == len(seen) > 0
    assert set(earlier.frame("promotion_comparisons")["split"]) <= {None}


def test_columns_that_came_later_are_null(
    earlier: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = earlier.frame("trained_on")
    later = (Column("word", "VARCHAR", "."), Column("vector", VECTOR, "."))
    columns = (*TABLES["trained_on"].columns, *later)
    table = dataclasses.replace(TABLES["trained_on"], columns=columns)
    monkeypatch.setitem(tables.TABLES, "trained_on", table)
    after = earlier.frame("trained_on")
    assert after.drop("word", "vector").equals(before)
    assert after.schema["word"] == pl.String
    assert after.schema["vector"] == pl.List(pl.Float32)
    assert after["word"].null_count() == after["vector"].null_count() == len(before) > 0
    chosen = earlier.frame("trained_on", ["word", "project_id"], where="word IS NULL")
    assert chosen["project_id"].equals(before["project_id"])
    assert earlier.frame("trained_on", where="word = 'train'").is_empty()
    with pytest.raises(DataError, match="columns nothing of trained_on"):
        earlier.frame("trained_on", ["nothing"])


def test_a_companion_that_came_later_is_empty_and_hides_no_record(
    earlier: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = "similarity_scores"
    companion = Table("later", ".", (Column("word", "VARCHAR", "."),), key=("word",))
    monkeypatch.setitem(TABLES, "later", companion)
    monkeypatch.setitem(ASSET_OF, "later", asset)
    monkeypatch.setitem(ASSET_TABLES, asset, (*ASSET_TABLES[asset], "later"))
    assert earlier.record(asset) is not None
    assert earlier.frame("later").schema == {"word": pl.String}
    assert earlier.frame("later", where="word = 'a'").is_empty()
    with earlier.write() as connection:
        connection.execute(f"DROP TABLE {asset}")
    assert earlier.record(asset) is None
    with pytest.raises(DataError, match=f"later is not in .* Materialize the asset {asset} first"):
        earlier.frame("later")
