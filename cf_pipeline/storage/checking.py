"""What must be true of rows before they take the place of others.

Everything is asked of DuckDB, so that a frame and a SELECT meet the same questions: exactly the
declared columns, types that convert without loss of meaning (a number is no id, 1.5 is no count),
nothing missing that is required, unique keys, only words of the vocabulary, finite numbers. All
rules of a table are counted in one scan; an example is looked for only where one is broken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from cf_pipeline.errors import DataError
from cf_pipeline.registry import DOTTED
from cf_pipeline.sql import columns_sql, equals, literal, quoted
from cf_pipeline.storage.schema import ANY_PATH, VECTOR, Column, Table

_TYPES = {
    "text": "VARCHAR ENUM JSON UUID",
    "integer": "TINYINT SMALLINT INTEGER BIGINT HUGEINT "
    "UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT",
    "float": "FLOAT DOUBLE DECIMAL",
    "time": "TIMESTAMP TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_NS TIMESTAMP_WITH_TIME_ZONE DATE",
    "null": "NULL",
}
_FAMILY = {type_: family for family, types in _TYPES.items() for type_ in types.split()}
"""DuckDB type to the sort of value it holds; a type that is missing here is a sort of its own."""


def check_columns(table: Table, types: dict[str, str]) -> None:
    """Whether the columns at hand (name to DuckDB type) are those of the table.

    Raises:
        DataError: a column is missing, is not declared, or holds another kind of value.
    """
    declared = [column.name for column in table.columns]
    missing = ", ".join(name for name in declared if name not in types)
    unknown = ", ".join(name for name in types if name not in declared)
    if missing or unknown:
        raise DataError(
            f"{table.name} expects the columns {', '.join(declared)}; missing: "
            f"{missing or 'none'}, not declared: {unknown or 'none'}. Give exactly the declared "
            "columns, in any order."
        )
    for column in table.columns:
        if not _takes(column.type, types[column.name]):
            raise DataError(
                f"{table.name}.{column.name} expects {column.type}, but the values are "
                f"{types[column.name]}. Convert them before they are published; ids are text."
            )


def check_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: str, scope: str | None
) -> dict[str, int]:
    """Whether the rows of a relation, whose columns have been checked, may stand in the table.

    Args:
        connection: where the relation stands.
        table: the declaration.
        rows: name of the relation.
        scope: the only value allowed in the scope column; None allows any.

    Returns:
        Name to length, in floats, of the VECTOR columns; those without a value are left out.

    Raises:
        DataError: the first rule that is broken, with an example.
    """
    rules = list(_rules(table, scope))
    vectors = [column.name for column in table.columns if column.type == VECTOR]
    asked = ["count(*)"]  # so that there is a question of a table without rules
    asked += [f"count(*) FILTER (WHERE {rule.broken})" for rule in rules]
    asked += [f"{end}(len({quoted(name)}))" for name in vectors for end in ("min", "max")]
    answer = connection.execute(f"SELECT {', '.join(asked)} FROM {quoted(rows)}").fetchall()[0]
    for rule, n_rows in zip(rules, answer[1:], strict=False):
        if n_rows:
            raise DataError(_refusal(connection, table, rows, rule, n_rows))
    ends = answer[1 + len(rules) :]
    for name, shortest, longest in zip(vectors, ends[::2], ends[1::2], strict=True):
        if shortest != longest:
            raise DataError(
                f"{table.name}.{name}: vectors of {shortest} to {longest} floats; expected one "
                "length. Publish vectors of one model and layer together."
            )
    _check_key(connection, table, rows)
    return {name: n for name, n in zip(vectors, ends[::2], strict=True) if n is not None}


@dataclass(frozen=True)
class _Rule:
    """When a row's value of a column is refused, and what such a row holds."""

    column: Column
    broken: str
    what: str


def _rules(table: Table, scope: str | None) -> Iterator[_Rule]:
    for column in table.columns:
        name = quoted(column.name)
        if not column.nullable or column.name in table.key:
            yield _Rule(column, f"{name} IS NULL", "no value")
        if column.is_vector:  # a sum in DOUBLE of finite FLOATs is finite, and skips only NULLs
            whole = f"isfinite(list_sum({name}::DOUBLE[])) AND list_count({name}) = len({name})"
            broken = f"{name} IS NOT NULL AND (len({name}) = 0 OR NOT ({whole}))"
            yield _Rule(column, broken, "an empty vector, or one with NaN, infinity or a gap")
        elif column.type in {"FLOAT", "DOUBLE"}:
            yield _Rule(column, f"NOT isfinite({name})", "NaN or infinity (null says: no value)")
        if column.vocabulary is not None:
            allowed = " OR ".join(_is_word(column.name, word) for word in column.vocabulary)
            words = ", ".join(sorted(column.vocabulary))
            yield _Rule(column, f"NOT ({allowed})", f"none of the words {words}")
        if scope is not None and column.name == table.scope:
            broken = f"NOT ({equals(column.name, scope)})"
            yield _Rule(column, broken, f"another value than {scope!r}")


def _is_word(column: str, word: str) -> str:
    """The condition that a column holds a word of its vocabulary, or one of an open end."""
    if word == ANY_PATH:
        return f"regexp_full_match({quoted(column)}, {literal(DOTTED.pattern)})"
    if word.endswith("<name>"):
        prefix = word.removesuffix("<name>")
        begins = f"starts_with({quoted(column)}, {literal(prefix)})"
        return f"({begins} AND length({quoted(column)}) > {len(prefix)})"
    return equals(column, word)


def _refusal(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: str, rule: _Rule, n_rows: int
) -> str:
    """What is wrong, how often, and where first; the value is shown unless it is a vector."""
    value = [] if rule.column.is_vector and table.key else [rule.column.name]
    names = columns_sql(dict.fromkeys([*table.key, *value]))
    first = connection.execute(
        f"SELECT {names} FROM {quoted(rows)} WHERE {rule.broken} ORDER BY ALL LIMIT 1"
    ).fetchone()
    return (
        f"{table.name}.{rule.column.name}: {n_rows} rows hold {rule.what}, the first at "
        f"({names}) = {first}. Correct or drop them before they are published."
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


def _takes(declared: str, given: str) -> bool:
    """Whether values of a DuckDB type may stand in a column declared with another."""
    (wanted, depth), (has, has_depth) = _sort(declared), _sort(given)
    if has == "null":
        return has_depth <= depth
    return has_depth == depth and (has == wanted or (wanted, has) == ("float", "integer"))


def _sort(type_: str) -> tuple[str, int]:
    """The family of a type's values, and in how many lists they stand: DOUBLE[3] is (float, 1)."""
    bare = re.sub(r"\(.*\)", "", type_, flags=re.DOTALL).replace(" ", "_")
    base = re.sub(r"\[\w*\]", "", bare).strip('"')
    return _FAMILY.get(base, base), bare.count("[")
