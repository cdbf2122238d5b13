"""The last attempt to compute each asset, so that nobody repeats a failure for ever.

An attempt is known by a hash of code, configuration and inputs. It is written down before the body
runs and closed when it ends; while the hash stays the same and the attempt does not succeed its
starts are counted. One that was never closed belongs to a process that was killed: it is tried once
more, and then treated as failed. This is the one place that says why an asset failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import duckdb
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.recompute.staleness import Reading
from cf_pipeline.sql import columns_sql, quoted
from cf_pipeline.storage.tables import TABLES
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.storage.writing import replace_keys, table_names

_TABLE = TABLES["attempts"]
_COLUMNS = [column.name for column in _TABLE.columns]
KILLS = 2
"""An attempt that was begun this often and never ended is not begun again by itself."""


@dataclass(frozen=True)
class Attempt:
    """The latest attempt at an asset.

    Attributes:
        asset: its name.
        attempt: hash of the code, configuration and inputs of the attempt.
        run_id: the run that began it last.
        started_at: when that was, in UTC.
        starts: how often this same attempt was begun; 1 the first time.
        outcome: `running`, `done`, `failed` or `interrupted`.
        message: what went wrong, where something did.
    """

    asset: str
    attempt: str
    run_id: str
    started_at: datetime
    starts: int
    outcome: str
    message: str | None

    @property
    def failure(self) -> str | None:
        """How it went wrong, when and in which run; None where it ended well."""
        if self.outcome == "done":
            return None
        words = {"running": "was killed while it was computed"}.get(self.outcome, self.message)
        at = self.started_at.isoformat(timespec="seconds")
        return f"{words or self.outcome} (begun {at}, run {self.run_id})"


@contextmanager
def attempted(warehouse: Warehouse, reading: Reading, run_id: str) -> Iterator[None]:
    """Write down that an asset is being computed, and how that ended."""
    asset = reading.spec.asset
    begin(warehouse, asset, reading.attempt, run_id)
    try:
        yield
    except Exception as error:
        end(warehouse, asset, "failed", str(error))
        raise
    except BaseException:
        # Dagster's interrupt and Ctrl-C are no Exception: somebody wanted it to stop.
        end(warehouse, asset, "interrupted", "was interrupted while it was computed")
        raise
    end(warehouse, asset, "done")


def clear_failure(warehouse: Warehouse, reading: Reading, run_id: str) -> None:
    """What an asset reads is as recorded again: its failed attempt is history."""
    asset = reading.spec.asset
    last = attempts(warehouse).get(asset)
    if last is not None and last.outcome != "done":
        begin(warehouse, asset, reading.attempt, run_id)
        end(warehouse, asset, "done")


def gave_up(last: Mapping[str, Attempt], reading: Reading, *, look_at_files: bool) -> str | None:
    """Why an asset is not tried again by itself; None where it may be.

    Args:
        last: the last attempt of every asset.
        reading: what the asset would read now.
        look_at_files: whether the reading's files are those on disk now. If they are not, an
            attempt that differs in files alone counts as the same.
    """
    attempt = last.get(reading.spec.asset)
    if attempt is None or attempt.outcome == "done":
        return None
    made_of, _, files = reading.attempt.partition(":")
    tried, _, tried_files = attempt.attempt.partition(":")
    if tried != made_of or (look_at_files and tried_files != files):
        return None
    if attempt.outcome == "running" and attempt.starts < KILLS:
        return None
    how = "was killed" if attempt.outcome == "running" else attempt.outcome
    return f"{how} in run {attempt.run_id} and nothing it reads has changed since" + (
        f": {attempt.message}" if attempt.message else ""
    )


def begin(warehouse: Warehouse, asset: str, attempt: str, run_id: str) -> None:
    """Note that a run begins to compute an asset."""
    with warehouse.write() as connection:
        before = _stored(connection).get(asset)
        same = before is not None and before.attempt == attempt and before.outcome != "done"
        starts = before.starts + 1 if before is not None and same else 1
        now = datetime.now(UTC)
        _write(connection, Attempt(asset, attempt, run_id, now, starts, "running", None))


def end(warehouse: Warehouse, asset: str, outcome: str, message: str | None = None) -> None:
    """Note how the latest attempt at an asset ended: `done`, `failed` or `interrupted`.

    Raises:
        DataError: no attempt at it was begun, or the outcome is none of these words.
    """
    if outcome == "running":
        raise DataError(
            f"an attempt at {asset} cannot end as 'running': expected done, failed or "
            "interrupted. Begin it again instead."
        )
    with warehouse.write() as connection:
        before = _stored(connection).get(asset)
        if before is None:
            raise DataError(
                f"an attempt at {asset} ended as {outcome}, but none was begun. Call begin() "
                "before the asset is computed."
            )
        _write(connection, replace(before, outcome=outcome, message=message))


def attempts(warehouse: Warehouse) -> dict[str, Attempt]:
    """The latest attempt at every asset, by its name; empty before the first one."""
    with warehouse.read() as connection:
        return _stored(connection)


def _stored(connection: duckdb.DuckDBPyConnection) -> dict[str, Attempt]:
    if _TABLE.name not in table_names(connection):
        return {}
    rows = connection.sql(
        f"SELECT {columns_sql(_COLUMNS)} FROM {quoted(_TABLE.name)} ORDER BY asset"
    ).pl()
    found = (
        Attempt(**{**row, "started_at": row["started_at"].replace(tzinfo=UTC)})
        for row in rows.iter_rows(named=True)
    )
    return {attempt.asset: attempt for attempt in found}


def _write(connection: duckdb.DuckDBPyConnection, attempt: Attempt) -> None:
    started_at = attempt.started_at.replace(tzinfo=None)
    row = {**vars(attempt), "started_at": started_at}
    replace_keys(connection, _TABLE, pl.DataFrame([row]))
