"""Putting rows in the place of others, inside the transaction of the caller.

New rows are staged beside the table and checked there; then the staged table takes the old one's
name, so that columns may come, go and move. Where only some rows are replaced (a model version,
a key), the others are kept: by delete and insert by column name while the columns are as they
were, else by building the table anew from the rows that stay and the rows that come. Columns
that kept rows do not have are null in them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import duckdb
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.storage.checking import check_columns, check_rows, vector_lengths
from cf_pipeline.storage.schema import LIST, VECTOR, Column, Table
from cf_pipeline.storage.sql import equals, literal, quoted

_FRAME = "cf_frame"
_STAGED = "cf_staged"
_REBUILT = "cf_rebuilt"


def replace_all(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: pl.DataFrame | str
) -> None:
    """Let the rows of a frame, or of a SELECT, be all the rows of the table.

    Raises:
        DataError: the rows cannot be computed, or break a rule of the table.
    """
    with _speaking_of(table):
        _stage(connection, table, rows, scope=None, temporary=False)
        _swap(connection, table, _STAGED)


def replace_scope(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: pl.DataFrame | str, scope: str
) -> None:
    """Let rows be all that the table has with this value in its scope column.

    Raises:
        DataError: as of `replace_all`, or a row has another value in the scope column.
    """
    if table.scope is None:
        raise DataError(f"{table.name} has no scope column: publish it without a scope.")
    with _speaking_of(table):
        _replace_some(connection, table, rows, equals(table.scope, scope), scope)


def replace_keys(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: pl.DataFrame | str
) -> None:
    """Let rows take the place of those with the same key.

    Raises:
        DataError: as of `replace_all`.
    """
    same = " AND ".join(
        f"{quoted(_STAGED)}.{quoted(name)} = {quoted(table.name)}.{quoted(name)}"
        for name in table.key
    )
    doomed = f"EXISTS (SELECT 1 FROM {quoted(_STAGED)} WHERE {same})"
    with _speaking_of(table):
        _replace_some(connection, table, rows, doomed, scope=None)


def column_types(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Name to DuckDB type of the columns of a table, in order; empty where there is no table."""
    there = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE table_name = ? "
        "AND database_name IN (current_database(), 'temp')",
        [table],
    ).fetchone()
    if there is None:
        return {}
    return _described(connection, quoted(table))


def table_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the tables that the database holds, sorted; temporary ones aside."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' "
        "AND database_name = current_database() AND NOT temporary ORDER BY table_name"
    ).fetchall()
    return [str(name) for (name,) in rows]


def _described(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    """Name to DuckDB type of the columns of what follows FROM."""
    rows = connection.execute(f"DESCRIBE FROM {source}").fetchall()
    return {name: type_ for name, type_, *_ in rows}


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


def _stage(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    rows: pl.DataFrame | str,
    scope: str | None,
    temporary: bool,
) -> None:
    """Make the staged table of the rows, with the table's columns, checked."""
    try:
        source = _source(connection, rows)
        types = _described(connection, source)
        check_columns(table, types)
        values = ", ".join(_cast(column, types[column.name]) for column in table.columns)
        kind = "TEMP TABLE" if temporary else "TABLE"
        connection.execute(f"CREATE {kind} {quoted(_STAGED)} AS SELECT {values} FROM {source}")
    finally:
        if not isinstance(rows, str):
            connection.unregister(_FRAME)
    check_rows(connection, table, _STAGED, scope)
    for column in table.columns:
        lengths = vector_lengths(connection, _STAGED, column.name) if column.is_vector else []
        if column.type == VECTOR and lengths:
            connection.execute(
                f"ALTER TABLE {quoted(_STAGED)} ALTER {quoted(column.name)} "
                f"TYPE FLOAT[{lengths[0]}]"
            )


def _source(connection: duckdb.DuckDBPyConnection, rows: pl.DataFrame | str) -> str:
    """What may follow FROM: a registered frame, or a SELECT in parentheses."""
    if isinstance(rows, str):
        return f"(\n{rows.strip().rstrip(';')}\n)"
    connection.register(_FRAME, rows)
    return quoted(_FRAME)


def _cast(column: Column, given: str) -> str:
    """The column's values as the type in which they are staged."""
    fixed = re.search(r"\[(\d+)\]$", given)
    if column.type == VECTOR:
        type_ = f"FLOAT[{fixed.group(1)}]" if fixed else LIST
    else:
        type_ = column.type
    return f"CAST({quoted(column.name)} AS {type_}) AS {quoted(column.name)}"


def _swap(connection: duckdb.DuckDBPyConnection, table: Table, successor: str) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {quoted(table.name)}")
    connection.execute(f"ALTER TABLE {quoted(successor)} RENAME TO {quoted(table.name)}")
    connection.execute(f"COMMENT ON TABLE {quoted(table.name)} IS {literal(table.description)}")
    for column in table.columns:
        connection.execute(
            f"COMMENT ON COLUMN {quoted(table.name)}.{quoted(column.name)} "
            f"IS {literal(column.description)}"
        )


def _replace_some(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    rows: pl.DataFrame | str,
    doomed: str,
    scope: str | None,
) -> None:
    """Replace the rows for which the condition `doomed` holds."""
    stored = column_types(connection, table.name)
    _stage(connection, table, rows, scope, temporary=bool(stored))
    if not stored:
        _swap(connection, table, _STAGED)
        return
    kept = f"({doomed}) IS NOT TRUE"
    types = {
        name: _common_type(connection, table.name, name, (stored.get(name), type_), kept)
        for name, type_ in column_types(connection, _STAGED).items()
    }
    if list(stored.items()) == list(types.items()):
        connection.execute(f"DELETE FROM {quoted(table.name)} WHERE {doomed}")
        connection.execute(
            f"INSERT INTO {quoted(table.name)} BY NAME SELECT * FROM {quoted(_STAGED)}"
        )
        connection.execute(f"DROP TABLE {quoted(_STAGED)}")
    else:
        _rebuild(connection, table, stored, types, kept)


def _common_type(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    column: str,
    types: tuple[str | None, str],
    kept: str,
) -> str:
    """The type in which kept and staged values of a column can stand together.

    Vectors of one length are an array of it, else lists; of other types the staged one is right.
    """
    stored, staged = types
    vectors = [type_ for type_ in types if type_ and re.fullmatch(r"FLOAT\[\d*\]", type_)]
    if stored == staged or len(vectors) < 2:
        return staged
    lengths = {
        *vector_lengths(connection, table, column, kept),
        *vector_lengths(connection, _STAGED, column),
    }
    return f"FLOAT[{lengths.pop()}]" if len(lengths) == 1 else LIST


def _rebuild(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    stored: dict[str, str],
    types: dict[str, str],
    kept: str,
) -> None:
    """Make the table anew from the rows that stay and the staged ones."""
    old = ", ".join(
        f"CAST({quoted(name) if name in stored else 'NULL'} AS {type_}) AS {quoted(name)}"
        for name, type_ in types.items()
    )
    new = ", ".join(f"CAST({quoted(name)} AS {type_})" for name, type_ in types.items())
    connection.execute(
        f"CREATE TABLE {quoted(_REBUILT)} AS SELECT {old} FROM {quoted(table.name)} WHERE {kept} "
        f"UNION ALL SELECT {new} FROM {quoted(_STAGED)}"
    )
    connection.execute(f"DROP TABLE {quoted(_STAGED)}")
    _swap(connection, table, _REBUILT)
