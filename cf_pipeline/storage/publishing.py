"""The steps of `Warehouse.publish`, inside its transaction.

Which tables an asset is written with, rows of further model versions beside those of its scope,
the record with its line of history, and the manifest rows of artifacts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.sql import quoted
from cf_pipeline.storage.artifacts import Artifact
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.schema import Table
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES
from cf_pipeline.storage.writing import (
    Rows,
    column_types,
    replace_all,
    replace_keys,
    replace_scope,
)

_RECORDS = TABLES["asset_records"]
_HISTORY = TABLES["record_history"]


@dataclass(frozen=True)
class Write:
    """What is written of an asset in one transaction, beside its record.

    Attributes:
        tables: exactly the asset's tables, each a frame or a SELECT that DuckDB streams. SELECTs
            run in the order of `ASSET_TABLES`, each seeing what was written before.
        scope: the model version whose rows are replaced, where the tables are scoped.
        artifacts: published artifacts to record.
        others: rows of further model versions, version to table to rows, of some of the asset's
            tables; each replaces the rows of its version, and none counts in the data version.
        verify: called with the connection once all rows stand; what it raises takes back the whole
            write, so that bad rows never replace good ones.
    """

    tables: Mapping[str, Rows]
    scope: str | None = None
    artifacts: Sequence[Artifact] = ()
    others: Mapping[str, Mapping[str, Rows]] = field(default_factory=dict)
    verify: Callable[[duckdb.DuckDBPyConnection], None] | None = None


def tables_to_write(asset: str, write: Write) -> list[Table]:
    """The declarations of an asset's tables, if those are the ones that come.

    Raises:
        DataError: there is no such asset, a table of it is missing or none of its own, the scope
            is missing or does not belong there, or rows of further scopes cannot stand beside it.
    """
    expected = ASSET_TABLES.get(asset)
    if expected is None:
        raise DataError(f"no asset {asset!r}; expected one of {', '.join(ASSET_TABLES)}.")
    if set(write.tables) != set(expected):
        raise DataError(
            f"{asset} is published with the tables {', '.join(expected)}; "
            f"got {', '.join(write.tables) or 'none'}. Give each of them, an empty one too."
        )
    declared = [TABLES[name] for name in expected]
    if any((table.scope is None) != (write.scope is None) for table in declared):
        raise DataError(
            f"{asset} is scoped by {declared[0].scope or 'nothing'}; got the scope "
            f"{write.scope!r}. Scoped tables are written one model version at a time, others whole."
        )
    if write.others and write.scope is None:
        raise DataError(
            f"{asset} is not scoped, but rows of the scopes {', '.join(write.others)} came. Give "
            "all rows as the asset's tables."
        )
    for other, tables in write.others.items():
        foreign = [name for name in tables if name not in expected]
        if other == write.scope or foreign:
            raise DataError(
                f"{asset}: rows of {', '.join(foreign or tables)} came for the scope {other!r}; "
                f"expected some of {', '.join(expected)}, and another scope than {write.scope!r}, "
                "which is published. Give every row once, with its own asset."
            )
    return declared


def write_tables(
    connection: duckdb.DuckDBPyConnection,
    declared: Sequence[Table],
    tables: Mapping[str, Rows],
    scope: str | None,
) -> None:
    """Replace the rows of those declared tables that are at hand; of a scope, where named."""
    for table in declared:
        if table.name in tables:
            if scope is None:
                replace_all(connection, table, tables[table.name])
            else:
                replace_scope(connection, table, tables[table.name], scope)


def write_record(connection: duckdb.DuckDBPyConnection, record: AssetRecord) -> None:
    """Write the record of an asset, and add it to the history.

    A history that begins in a warehouse of an older release begins with the records it has.
    """
    if not column_types(connection, _HISTORY.name) and column_types(connection, _RECORDS.name):
        replace_all(connection, _HISTORY, f"FROM {quoted(_RECORDS.name)}")
    row = record.as_row()
    replace_keys(connection, _RECORDS, row)
    replace_keys(connection, _HISTORY, row)


def write_artifact(connection: duckdb.DuckDBPyConnection, artifact: Artifact, home: Path) -> None:
    """Write the manifest row of an artifact, which must lie in the warehouse's home.

    Raises:
        DataError: it lies elsewhere.
    """
    home = home.absolute()
    if not artifact.path.absolute().is_relative_to(home):
        raise DataError(f"{artifact.path} lies outside {home}: publish it in the home.")
    row = pl.DataFrame({
        "kind": [artifact.kind],
        "version": [artifact.version],
        "path": [artifact.path.absolute().relative_to(home).as_posix()],
        "n_bytes": [artifact.n_bytes],
        "created_at": [datetime.now(UTC).replace(tzinfo=None)],
    })
    replace_keys(connection, TABLES["artifacts"], row)
