from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.recompute.attempts import attempts, begin, end
from cf_pipeline.storage.warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb", threads=1)


def test_before_the_first_attempt_there_is_none(warehouse: Warehouse) -> None:
    assert attempts(warehouse) == {}
    assert not warehouse.path.exists()
    with pytest.raises(DataError, match="none was begun"):
        end(warehouse, "covers", "done")


def test_an_attempt_says_what_was_begun_when_and_how_it_ended(warehouse: Warehouse) -> None:
    began = datetime.now(UTC)
    begin(warehouse, "covers", "hash-1", "run-1")
    begin(warehouse, "trained_cnn", "hash-9", "run-1")
    found = attempts(warehouse)["covers"]
    assert (found.asset, found.attempt, found.run_id) == ("covers", "hash-1", "run-1")
    assert (found.starts, found.outcome, found.message) == (1, "running", None)
    assert timedelta(0) <= found.started_at - began < timedelta(seconds=10)
    end(warehouse, "covers", "failed", "no disk")
    ended = attempts(warehouse)["covers"]
    assert (ended.outcome, ended.message) == ("failed", "no disk")
    assert ended.started_at == found.started_at
    assert attempts(warehouse)["trained_cnn"].outcome == "running"
    begin(warehouse, "covers", "hash-1", "run-2")
    again = attempts(warehouse)["covers"]
    assert (again.outcome, again.message, again.run_id) == ("running", None, "run-2")


@pytest.mark.parametrize(
    ("outcome", "second", "starts"),
    [
        ("failed", "same", 2),
        ("interrupted", "same", 2),
        (None, "same", 2),  # killed: nobody wrote how it ended
        ("done", "same", 1),
        ("failed", "other", 1),
        ("done", "other", 1),
    ],
)
def test_starts_of_the_same_attempt_are_counted_until_it_is_done(
    warehouse: Warehouse, outcome: str | None, second: str, starts: int
) -> None:
    begin(warehouse, "covers", "same", "run-1")
    if outcome is not None:
        end(warehouse, "covers", outcome)
    begin(warehouse, "covers", second, "run-2")
    assert attempts(warehouse)["covers"].starts == starts
    begin(warehouse, "covers", second, "run-3")
    assert attempts(warehouse)["covers"].starts == starts + 1


@pytest.mark.parametrize("outcome", ["running", "lost"])
def test_an_end_is_one_of_three_words(warehouse: Warehouse, outcome: str) -> None:
    begin(warehouse, "covers", "hash", "run-1")
    with pytest.raises(DataError, match=f"'{outcome}'"):
        end(warehouse, "covers", outcome)
    assert attempts(warehouse)["covers"].outcome == "running"
