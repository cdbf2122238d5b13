"""The steps of `Warehouse.publish`, inside its transaction.

Which tables an asset is written with, rows of further model versions beside those of its scope,
the record with its line of history, and the manifest rows of artifacts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias, TypedDict

import duckdb
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.storage.artifacts import Artifact
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.schema import Table
from cf_pipeline.storage.sql import quoted
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES
from cf_pipeline.storage.writing import column_types, replace_all, replace_keys, replace_scope

Rows: TypeAlias = pl.DataFrame | str
"""Rows of a table: a frame, or a SELECT that DuckDB streams."""

_RECORDS = TABLES["asset_records"]
_HISTORY = TABLES["record_history"]
_ARTIFACTS = TABLES["artifacts"]


class Further(TypedDict, total=False):
    """What only some writes have: rows of further scopes, and a last look at all rows."""

    others: Mapping[str, Mapping[str, Rows]] | None
    verify: Callable[[duckdb.DuckDBPyConnection], None] | None


def tables_to_write(asset: str, tables: Mapping[str, Rows], scope: str | None) -> list[Table]:
    """The declarations of an asset's tables, if those are the ones at hand.

    Raises:
        DataError: there is no such asset, a table of it is missing or none of its own, or the
            scope is missing or does not belong there.
    """
    expected = ASSET_TABLES.get(asset)
    if expected is None:
        raise DataError(f"no asset {asset!r}; expected one of {', '.join(ASSET_TABLES)}.")
    if set(tables) != set(expected):
        raise DataError(
            f"{asset} is published with the tables {', '.join(expected)}; "
            f"got {', '.join(tables) or 'none'}. Give each of them, an empty one too."
        )
    declared = [TABLES[name] for name in expected]
    if any((table.scope is None) != (scope is None) for table in declared):
        raise DataError(
            f"{asset} is scoped by {declared[0].scope or 'nothing'}; got the scope {scope!r}. "
            "Scoped tables are written one model version at a time, others whole."
        )
    return declared


def check_others(asset: str, others: Mapping[str, Mapping[str, Rows]], scope: str | None) -> None:
    """Whether rows of further scopes can stand beside those of the scope that is published.

    Raises:
        DataError: the asset has no scopes, one is the scope itself, or a table is not its own.
    """
    if others and scope is None:
        raise DataError(
            f"{asset} is not scoped, but rows of the scopes {', '.join(others)} came. Give all "
            "rows as the asset's tables."
        )
    if scope is not None and scope in others:
        raise DataError(
            f"{asset}: the scope {scope!r} is published and came among the others, too. Give its "
            "rows once."
        )
    for other, tables in others.items():
        foreign = [name for name in tables if name not in ASSET_TABLES[asset]]
        if foreign:
            raise DataError(
                f"{asset}: rows of {', '.join(foreign)} came for the scope {other!r}; expected "
                f"some of {', '.join(ASSET_TABLES[asset])}. Publish them with their own asset."
            )


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
    replace_keys(connection, _ARTIFACTS, row)
