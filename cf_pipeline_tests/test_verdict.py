"""A verdict says each problem; a check is asked where rows are written, and may turn them away."""

from __future__ import annotations

import json

import duckdb
import polars as pl
import pytest

from cf_pipeline.verdict import CheckFailedError, Verdict, Verdicts, check


@check(rows="select n from cups where owner = $scope order by n", names="select 'of all' as name")
def cups_are_full(rows: pl.DataFrame, names: pl.DataFrame) -> Verdict:
    """Nobody's cup is empty."""
    empty = rows.filter(pl.col("n") == 0).height
    problems = [f"{empty} cups are empty {names['name'][0]}."] if empty else []
    return Verdict.of(problems, "All are full.", {"cups": rows.height})


@check(blocking=False, rows="select n from cups")
def cups_are_many(rows: pl.DataFrame) -> Verdict:
    """There are more than two."""
    return Verdict.of(["Too few."] * (rows.height < 3), "Many.", {})


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect()
    opened.execute("create table cups as select * from (values ('a''s', 1), ('b', 0)) t(owner, n)")
    return opened


def test_a_verdict_passes_unless_there_is_a_problem_and_says_each_one() -> None:
    assert Verdict.of([], "All is well.", {"rows": 3}) == Verdict(True, "All is well.", {"rows": 3})
    verdict = Verdict.of(["Too few.", "Too flat."], "All is well.", {})
    assert verdict == Verdict(False, "Too few. Too flat.", {})


def test_a_check_is_a_function_with_the_rows_that_it_is_handed(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert (cups_are_full.name, cups_are_full.description) == (
        "cups_are_full",
        "Nobody's cup is empty.",
    )
    assert (cups_are_full.blocking, cups_are_many.blocking) == (True, False)
    rows, names = pl.DataFrame({"n": [0, 1]}), pl.DataFrame({"name": ["at hand"]})
    assert cups_are_full(rows, names=names).message == "1 cups are empty at hand."
    # The scope is a value, whatever is in it; without one no row has it.
    assert cups_are_full.look(connection, "a's") == Verdict(True, "All are full.", {"cups": 1})
    assert cups_are_full.look(connection, "b").message == "1 cups are empty of all."
    assert cups_are_full.look(connection, None).facts == {"cups": 0}


def test_a_blocking_check_turns_rows_away_once_all_have_spoken(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    verdicts = Verdicts([cups_are_full, cups_are_many])
    message = "the_cups was not written, what was there before stays. cups_are_full: 1 cups are"
    with pytest.raises(CheckFailedError, match=message) as raised:
        verdicts.look("the_cups", connection, "b")
    assert "Too few" not in str(raised.value)
    assert [(one.name, said.passed) for one, said in verdicts.said] == [
        ("cups_are_full", False),
        ("cups_are_many", False),
    ]
    # A warning alone turns nothing away.
    verdicts.look("the_cups", connection, "a's")
    assert [said.passed for _, said in verdicts.said] == [True, False]


def test_what_was_said_is_kept_and_said_again(connection: duckdb.DuckDBPyConnection) -> None:
    first = Verdicts([cups_are_full, cups_are_many])
    first.look("the_cups", connection, "a's")
    kept = json.loads(json.dumps(first.written))
    again = Verdicts([cups_are_many])
    assert again.remember(kept)
    assert again.said == [first.said[1]]
    # A check that is new since has to look for itself.
    other = Verdicts([cups_are_full])
    assert not other.remember({"cups_are_many": kept["cups_are_many"]})
    assert other.said == []
