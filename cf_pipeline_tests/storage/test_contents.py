"""Laws of the content version."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cf_pipeline.storage import contents
from cf_pipeline.storage.contents import content_version
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.schema import LIST, Column, Table
from cf_pipeline.storage.tables import TABLES
from cf_pipeline.storage.warehouse import Warehouse

TABLE = Table(
    "things",
    "One of every type, without a key.",
    (
        Column("word", "VARCHAR", "."),
        Column("words", "VARCHAR[]", "."),
        Column("number", "BIGINT", "."),
        Column("share", "DOUBLE", "."),
        Column("vector", LIST, "."),
        Column("yes", "BOOLEAN", "."),
        Column("moment", "TIMESTAMP", "."),
        Column("path", "VARCHAR", ".", in_version=False),
    ),
    key=(),
)
TYPES = ", ".join(f"{column.name} {column.type}" for column in TABLE.columns)

floats = st.floats(allow_nan=False, allow_infinity=False, width=32)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
rows = st.tuples(
    st.none() | words,
    st.none() | st.lists(st.none() | words, max_size=3),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | floats,
    st.none() | st.lists(floats, max_size=3),
    st.none() | st.booleans(),
    st.none() | st.datetimes(),
)


CONNECTION = duckdb.connect(":memory:", config={"threads": 1})


def version(things: list[tuple[Any, ...]], path: str = "/a") -> str:
    CONNECTION.execute(f"CREATE OR REPLACE TABLE things ({TYPES})")
    for thing in things:
        CONNECTION.execute("INSERT INTO things VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [*thing, path])
    return content_version(CONNECTION, [TABLE])


@settings(max_examples=25, deadline=None)
@given(st.lists(rows, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_outside_the_version_do_not_matter(
    some: list[tuple[Any, ...]], random: Random
) -> None:
    shuffled = random.sample(some, len(some))
    assert version(some) == version(shuffled, path="/elsewhere")


@settings(max_examples=25, deadline=None)
@given(st.lists(rows, min_size=1, max_size=4), st.data())
def test_any_changed_cell_changes_the_version(
    some: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(some) - 1))
    cell = data.draw(st.integers(0, 6))
    other = data.draw(rows)[cell]
    assume(other != some[row][cell])
    changed = [list(thing) for thing in some]
    changed[row][cell] = other
    assert version(some) != version([tuple(thing) for thing in changed])


@settings(max_examples=12, deadline=None)
@given(st.lists(rows, max_size=3), rows)
def test_a_row_more_is_another_version_even_one_that_is_there(
    some: list[tuple[Any, ...]], one: tuple[Any, ...]
) -> None:
    assert len({version(some), version([*some, one]), version([*some, one, one])}) == 3


EMPTY = (None,) * 7


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        (0, ["", None, "a", "ab"]),
        (1, [[], None, [""], [None], ["", ""], ["ab"], ["a", "b"], ["b", "a"]]),
        (2, [0, None, 1, -1]),
        (3, [0.0, None, 1e-300, 0.1, 0.1 + 1e-17 + 1e-16]),
        (4, [[], None, [0.0], [0.0, 0.0], [1.0, 2.0], [2.0, 1.0]]),
        (5, [True, False, None]),
    ],
)
def test_values_that_look_alike_are_told_apart(cell: int, values: list[Any]) -> None:
    found = [version([(*EMPTY[:cell], value, *EMPTY[cell + 1 :])]) for value in values]
    assert len(set(found)) == len(values)


def test_values_do_not_run_into_each_other() -> None:
    first = version([("ab", ["c"], *EMPTY[2:]), ("d", ["e"], *EMPTY[2:])])
    second = version([("a", ["bc"], *EMPTY[2:]), ("d", ["e"], *EMPTY[2:])])
    third = version([("ab", ["c", "e"], *EMPTY[2:]), ("d", [], *EMPTY[2:])])
    assert len({first, second, third}) == 3


def test_the_two_zeros_are_one() -> None:
    assert version([(*EMPTY[:3], 0.0, *EMPTY[4:])]) == version([(*EMPTY[:3], -0.0, *EMPTY[4:])])
    positive, negative = ([(*EMPTY[:4], [zero], *EMPTY[5:])] for zero in (0.0, -0.0))
    assert version(positive) == version(negative)


def test_the_version_is_the_same_on_every_day_and_machine() -> None:
    some = [("a", ["b", None], -5, 0.25, [1.5], True, None), EMPTY]
    assert version(some) == "c3120cbd47c65e7c2d453540eda7f466"
    assert version([]) == "13cc9def51dc6357e986d58c9a0a0daa"


def test_batches_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    CONNECTION.execute(
        "CREATE OR REPLACE TABLE things AS SELECT "
        "CASE WHEN i % 5 > 0 THEN (i % 7)::VARCHAR END AS word, "
        "CASE WHEN i % 4 > 0 THEN [i::VARCHAR, NULL][:i % 3] END AS words, i AS number, "
        "i / 7 AS share, CASE WHEN i % 11 > 0 THEN [i, -i]::FLOAT[] END AS vector, "
        "i % 2 = 0 AS yes, NULL::TIMESTAMP AS moment, '' AS path FROM range(5000) AS r(i)"
    )
    whole = content_version(CONNECTION, [TABLE])
    monkeypatch.setattr(contents, "_ROWS_PER_BATCH", 100)
    assert len(list(CONNECTION.sql("FROM things").to_arrow_reader(100))) > 1
    assert content_version(CONNECTION, [TABLE]) == whole


def test_numbers_may_be_stored_wider_and_vectors_as_arrays() -> None:
    found = set()
    for type_, vector in (("INTEGER", "FLOAT[]"), ("BIGINT", "FLOAT[2]")):
        columns = f"number {type_}, vector {vector}"
        CONNECTION.execute(f"CREATE OR REPLACE TABLE things ({columns})")
        CONNECTION.execute("INSERT INTO things VALUES (3, [1, 2]), (4, [3, 4])")
        table = Table("things", ".", TABLE.columns[2:3] + TABLE.columns[4:5], key=("number",))
        found.add(content_version(CONNECTION, [table]))
    assert len(found) == 1


def test_the_scope_counts_only_its_own_rows(
    warehouse: Warehouse,
    draft: Callable[..., Draft],
    embeddings: Callable[..., pl.DataFrame],
) -> None:
    def publish(rows: pl.DataFrame) -> str:
        scope = rows["model_version"][0]
        written = warehouse.publish(draft("embeddings"), Write({"embeddings": rows}, scope=scope))
        return written.data_version

    first = publish(embeddings("m1"))
    publish(embeddings("m2", n_factors=5))
    assert publish(embeddings("m1").sample(fraction=1, shuffle=True, seed=1)) == first
    assert publish(embeddings("m1", seed=1)) != first
    with warehouse.read() as connection:
        assert content_version(connection, [TABLES["embeddings"]]) != first


def test_a_published_version_follows_the_rows_and_not_their_types(
    draft: Callable[..., Draft],
) -> None:
    found = []
    for confidence in (pl.Float64, pl.Float32):
        with tempfile.TemporaryDirectory() as folder:
            warehouse = Warehouse(Path(folder) / "warehouse.duckdb")
            rows = pl.DataFrame({
                "user_id": ["u", "v"],
                "project_id": ["p", "p"],
                "confidence": pl.Series([0.1, 2.5], dtype=confidence),
                "occurred_at": pl.Series([None, None], dtype=pl.Datetime("us")),
            })
            rows = rows.reverse() if confidence == pl.Float32 else rows
            written = warehouse.publish(draft("pruned_matrix"), Write({"pruned_matrix": rows}))
            found.append(written.data_version)
    assert found[0] == found[1]
