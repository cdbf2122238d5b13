"""Putting rows in the place of others, inside the transaction of the caller.

New rows arrive in a table beside and are checked there; then that table takes the old one's name,
so that columns may come, go and move. Where only some rows are replaced (a model version, a key),
the others are kept: by delete and insert by column name while the columns are as they were, else
by building the table anew from the rows that stay and the rows that come. Columns that kept rows
do not have are null in them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import duckdb
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.sql import equals, literal, quoted
from cf_pipeline.storage.checking import check_columns, check_rows
from cf_pipeline.storage.schema import LIST, VECTOR, Column, Table

Rows: TypeAlias = pl.DataFrame | str
"""Rows of a table: a frame, or a SELECT that DuckDB streams."""

_FRAME = "cf_frame"
_INCOMING = "cf_incoming"
_REBUILT = "cf_rebuilt"


def replace_all(connection: duckdb.DuckDBPyConnection, table: Table, rows: Rows) -> None:
    """Let the rows of a frame, or of a SELECT, be all the rows of the table.

    Raises:
        DataError: the rows cannot be computed, or break a rule of the table.
    """
    with _speaking_of(table):
        _receive(connection, table, rows, scope=None, temporary=False)
        _swap(connection, table, _INCOMING)


def replace_scope(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: Rows, scope: str
) -> None:
    """Let rows be all that the table has with this value in its scope column.

    Raises:
        DataError: as of `replace_all`, or a row has another value in the scope column.
    """
    if table.scope is None:
        raise DataError(f"{table.name} has no scope column: publish it without a scope.")
    with _speaking_of(table):
        _replace_some(connection, table, rows, equals(table.scope, scope), scope)


def replace_keys(connection: duckdb.DuckDBPyConnection, table: Table, rows: Rows) -> None:
    """Let rows take the place of those with the same key.

    Raises:
        DataError: as of `replace_all`.
    """
    same = " AND ".join(
        f"{quoted(_INCOMING)}.{quoted(name)} = {quoted(table.name)}.{quoted(name)}"
        for name in table.key
    )
    doomed = f"EXISTS (SELECT 1 FROM {quoted(_INCOMING)} WHERE {same})"
    with _speaking_of(table):
        _replace_some(connection, table, rows, doomed, scope=None)


def column_types(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Name to DuckDB type of the columns of a table, in order; empty where there is no table."""
    rows = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? "
        "AND database_name IN (current_database(), 'temp') ORDER BY column_index",
        [table],
    ).fetchall()
    return dict(rows)


def table_names(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> list[str]:
    """Names of the tables that a database holds, sorted; by default the connection's own one."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' "
        "AND database_name = coalesce(?, current_database()) ORDER BY table_name",
        [database],
    ).fetchall()
    return [str(name) for (name,) in rows]


def describe(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Write what a table and its columns hold into the file, for whoever opens it."""
    connection.execute(f"COMMENT ON TABLE {quoted(table.name)} IS {literal(table.description)}")
    stored = column_types(connection, table.name)
    for column in table.columns:
        if column.name in stored:
            connection.execute(
                f"COMMENT ON COLUMN {quoted(table.name)}.{quoted(column.name)} "
                f"IS {literal(column.description)}"
            )


@contextlib.contextmanager
def _speaking_of(table: Table) -> Iterator[None]:
    """Say which table it was about when DuckDB cannot use a value or a query."""
    try:
        yield
    except (duckdb.DataError, duckdb.ProgrammingError) as error:
        raise DataError(
            f"the rows of {table.name} cannot be computed: {error}. Nothing was changed; correct "
            "the values or the query."
        ) from error


def _receive(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    rows: Rows,
    scope: str | None,
    temporary: bool,
) -> dict[str, str]:
    """Make the incoming table of the rows, checked; returns name to type of its columns."""
    kind = "TEMP TABLE" if temporary else "TABLE"
    if isinstance(rows, str):
        source = f"(\n{rows.strip().rstrip(';')}\n)"  # the line break ends a trailing comment
    else:
        connection.register(_FRAME, rows)
        source = quoted(_FRAME)
    try:
        described = connection.execute(f"DESCRIBE FROM {source}").fetchall()
        given = {name: type_ for name, type_, *_ in described}
        check_columns(table, given)
        values = ", ".join(_cast(column, given[column.name]) for column in table.columns)
        connection.execute(f"CREATE {kind} {quoted(_INCOMING)} AS SELECT {values} FROM {source}")
    finally:
        if not isinstance(rows, str):
            connection.unregister(_FRAME)
    for name, length in check_rows(connection, table, _INCOMING, scope).items():
        connection.execute(
            f"ALTER TABLE {quoted(_INCOMING)} ALTER {quoted(name)} TYPE FLOAT[{length}]"
        )
    return column_types(connection, _INCOMING)


def _cast(column: Column, given: str) -> str:
    """The values of a column as the type in which they arrive; a list has no length yet."""
    fixed = re.search(r"\[\d+\]$", given)
    type_ = (f"FLOAT{fixed[0]}" if fixed else LIST) if column.type == VECTOR else column.type
    return f"CAST({quoted(column.name)} AS {type_}) AS {quoted(column.name)}"


def _swap(connection: duckdb.DuckDBPyConnection, table: Table, successor: str) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {quoted(table.name)}")
    connection.execute(f"ALTER TABLE {quoted(successor)} RENAME TO {quoted(table.name)}")
    describe(connection, table)


def _replace_some(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    rows: Rows,
    doomed: str,
    scope: str | None,
) -> None:
    """Replace the rows for which the condition `doomed` holds."""
    stored = column_types(connection, table.name)
    incoming = _receive(connection, table, rows, scope, temporary=bool(stored))
    if not stored:
        _swap(connection, table, _INCOMING)
        return
    kept = f"FROM {quoted(table.name)} WHERE ({doomed}) IS NOT TRUE"
    types = dict(incoming)
    for column in table.columns:
        if column.type == VECTOR and stored.get(column.name) not in {None, types[column.name]}:
            types[column.name] = _common_type(connection, column.name, incoming, kept)
    if list(stored.items()) == list(types.items()):
        connection.execute(f"DELETE FROM {quoted(table.name)} WHERE {doomed}")
        connection.execute(
            f"INSERT INTO {quoted(table.name)} BY NAME SELECT * FROM {quoted(_INCOMING)}"
        )
        connection.execute(f"DROP TABLE {quoted(_INCOMING)}")
        return
    old = ", ".join(
        f"CAST({quoted(name) if name in stored else 'NULL'} AS {type_}) AS {quoted(name)}"
        for name, type_ in types.items()
    )
    new = ", ".join(f"CAST({quoted(name)} AS {type_})" for name, type_ in types.items())
    connection.execute(
        f"CREATE TABLE {quoted(_REBUILT)} AS SELECT {old} {kept} "
        f"UNION ALL SELECT {new} FROM {quoted(_INCOMING)}"
    )
    connection.execute(f"DROP TABLE {quoted(_INCOMING)}")
    _swap(connection, table, _REBUILT)


def _common_type(
    connection: duckdb.DuckDBPyConnection, column: str, incoming: Mapping[str, str], kept: str
) -> str:
    """The type of a vector column in which the rows that stay and those that come can stand."""
    lengths = connection.execute(f"SELECT DISTINCT len({quoted(column)}) {kept}").fetchall()
    types = {f"FLOAT[{length}]" for (length,) in lengths if length is not None}
    types |= {incoming[column]} - {LIST}  # a list without a length comes only where no row does
    return types.pop() if len(types) == 1 else LIST
