"""The latest attempt to compute each asset: what it was, how often it was begun, how it ended.

An attempt is known by a hash of code, configuration and inputs. While that hash stays the same
and the attempt does not succeed its starts are counted, so that whoever decides on another start
can tell what was tried in vain from what is new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import duckdb
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.storage.sql import columns_sql, quoted
from cf_pipeline.storage.tables import TABLES
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.storage.writing import replace_keys, table_names

_TABLE = TABLES["attempts"]
_COLUMNS = [column.name for column in _TABLE.columns]


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
