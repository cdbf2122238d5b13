"""What must be true of rows before they take the place of others.

Everything is asked of DuckDB, so that a frame and a SELECT meet the same questions: exactly the
declared columns, types that convert without loss of meaning (a number is no id, 1.5 is no count),
nothing missing that is required, unique keys, only words of the vocabulary, finite numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import duckdb

from cf_pipeline.errors import DataError
from cf_pipeline.storage.schema import VECTOR, Column, Table
from cf_pipeline.storage.sql import columns_sql, equals, literal, quoted

_FAMILIES = {
    "text": {"VARCHAR", "ENUM", "JSON", "UUID"},
    "integer": {
        "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT",
        "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
    },
    "float": {"FLOAT", "DOUBLE", "DECIMAL"},
    "time": {
        "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS",
        "TIMESTAMP WITH TIME ZONE", "DATE",
    },
    "boolean": {"BOOLEAN"},
    "null": {"NULL"},
}  # fmt: skip
_ALSO_TAKES = {"float": {"integer"}}


def check_columns(table: Table, types: dict[str, str]) -> None:
    """Whether the columns at hand (name to DuckDB type) are those of the table.

    Raises:
        DataError: a column is missing, is not declared, or holds another kind of value.
    """
    declared = {column.name for column in table.columns}
    missing = [column.name for column in table.columns if column.name not in types]
    unknown = [name for name in types if name not in declared]
    if missing or unknown:
        raise DataError(
            f"{table.name} expects the columns {_listed(c.name for c in table.columns)}; "
            f"missing: {_listed(missing) or 'none'}, not declared: {_listed(unknown) or 'none'}. "
            "Give exactly the declared columns, in any order."
        )
    for column in table.columns:
        if not _takes(column.type, types[column.name]):
            raise DataError(
                f"{table.name}.{column.name} expects {column.type}, but the values are "
                f"{types[column.name]}. Convert them before they are published; ids are text."
            )


def check_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: str, scope: str | None
) -> None:
    """Whether the rows of a relation may stand in the table.

    Args:
        connection: where the relation stands.
        table: the declaration.
        rows: name of the relation; its columns have been checked.
        scope: the only value allowed in the scope column; None allows any.

    Raises:
        DataError: the first rule that is broken, with an example.
    """
    for column in table.columns:
        if not column.nullable or column.name in table.key:
            _refuse(connection, table, column, rows, f"{quoted(column.name)} IS NULL", "no value")
        if column.is_vector or column.type in {"FLOAT", "DOUBLE"}:
            _check_finite(connection, table, column, rows)
        if column.vocabulary is not None:
            _check_words(connection, table, column, rows)
    _check_one_length(connection, table, rows)
    _check_key(connection, table, rows)
    if scope is not None and table.scope is not None:
        column = next(column for column in table.columns if column.name == table.scope)
        condition = f"NOT ({equals(table.scope, scope)})"
        _refuse(connection, table, column, rows, condition, f"another value than {scope!r}")


def _refuse(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    column: Column,
    rows: str,
    condition: str,
    what: str,
) -> None:
    """Raise if the condition holds anywhere, naming how often and the first such row's key."""
    n_rows = _count(connection, f"SELECT count(*) FROM {quoted(rows)} WHERE {condition}")
    if not n_rows:
        return
    names = columns_sql(table.key or (column.name,))
    example = connection.execute(
        f"SELECT {names} FROM {quoted(rows)} WHERE {condition} ORDER BY ALL LIMIT 1"
    ).fetchone()
    raise DataError(
        f"{table.name}.{column.name}: {n_rows} rows hold {what}, the first at "
        f"({names}) = {example}. Correct or drop them before they are published."
    )


def _check_finite(
    connection: duckdb.DuckDBPyConnection, table: Table, column: Column, rows: str
) -> None:
    name = quoted(column.name)
    if column.is_vector:  # a sum in DOUBLE of finite FLOATs is finite, and skips only NULLs
        finite = f"isfinite(list_sum({name}::DOUBLE[])) AND list_count({name}) = len({name})"
        condition = f"{name} IS NOT NULL AND (len({name}) = 0 OR NOT ({finite}))"
        what = "an empty vector, or one with NaN, infinity or a gap"
    else:
        condition, what = f"NOT isfinite({name})", "NaN or infinity (null says: no value)"
    _refuse(connection, table, column, rows, condition, what)


def _check_words(
    connection: duckdb.DuckDBPyConnection, table: Table, column: Column, rows: str
) -> None:
    words = sorted(column.vocabulary or ())
    name = quoted(column.name)
    allowed = [f"{name} IN ({', '.join(literal(word) for word in words)})"]
    for prefix in (word.removesuffix("<name>") for word in words if word.endswith("<name>")):
        start = f"starts_with({name}, {literal(prefix)}) AND length({name}) > {len(prefix)}"
        allowed.append(f"({start})")
    found = connection.execute(
        f"SELECT DISTINCT {name} FROM {quoted(rows)} "
        f"WHERE NOT ({' OR '.join(allowed)}) ORDER BY 1 LIMIT 3"
    ).fetchall()
    if found:
        raise DataError(
            f"{table.name}.{column.name} holds {_listed(repr(word) for (word,) in found)}; "
            f"expected one of {_listed(words)}. Use these words, or add one to the vocabulary "
            "in cf_pipeline/storage/columns.py."
        )


def _check_one_length(connection: duckdb.DuckDBPyConnection, table: Table, rows: str) -> None:
    for column in table.columns:
        if column.type == VECTOR:
            lengths = vector_lengths(connection, rows, column.name)
            if len(lengths) > 1:
                raise DataError(
                    f"{table.name}.{column.name}: vectors of {lengths[0]} to {lengths[1]} floats; "
                    "expected one length. Publish vectors of one model and layer together."
                )


def _check_key(connection: duckdb.DuckDBPyConnection, table: Table, rows: str) -> None:
    if not table.key:
        return
    names = columns_sql(table.key)
    twice = connection.execute(
        f"SELECT {names}, count(*) FROM {quoted(rows)} GROUP BY {names} HAVING count(*) > 1 "
        f"ORDER BY {names} LIMIT 1"
    ).fetchone()
    if twice is not None:
        raise DataError(
            f"{table.name}: ({names}) = {twice[:-1]} occurs {twice[-1]} times; expected once, "
            "since these columns are the key. Aggregate or drop the repeated rows first."
        )


def vector_lengths(
    connection: duckdb.DuckDBPyConnection, rows: str, column: str, condition: str = "true"
) -> list[int]:
    """The shortest and longest vector of a column: none, one or two different lengths."""
    shortest_longest = connection.execute(
        f"SELECT min(len({quoted(column)})), max(len({quoted(column)})) "
        f"FROM {quoted(rows)} WHERE {condition}"
    ).fetchone()
    return sorted({length for length in shortest_longest or () if length is not None})


def _takes(declared: str, given: str) -> bool:
    """Whether values of a DuckDB type may stand in a column declared with another."""
    wanted, has = _family(declared), _family(given)
    while wanted.endswith("[]") and has.endswith("[]"):
        wanted, has = wanted[:-2], has[:-2]
    return has in {wanted, "null"} or has in _ALSO_TAKES.get(wanted, ())


def _family(type_: str) -> str:
    """`text` for VARCHAR, `float[]` for DOUBLE[3], the type itself where it has no family."""
    inner = re.fullmatch(r"(.*)\[\w*\]", type_, re.DOTALL)
    if inner:
        return _family(inner.group(1)) + "[]"
    base = type_.split("(")[0].strip('"')
    return next((family for family, types in _FAMILIES.items() if base in types), base)


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _listed(words: Iterable[object]) -> str:
    return ", ".join(str(word) for word in words)
