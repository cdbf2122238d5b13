"""Turning a column of `dataset.toml` into SQL: the name of a column, or an expression over columns.

An expression is taken to pieces by DuckDB's own parser before it is used: one value per row, from
the columns of that file, and nothing that reads other tables or files. A bare word that is no
column is always a missing column, never a DuckDB keyword such as `user` that happens to have a
value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from cf_pipeline.errors import DataError
from cf_pipeline.sources.dataset import nearest

_BARE_WORD = re.compile(r"[^\W\d]\w*")
_NOT_ROW_BY_ROW = {"SUBQUERY": "a subquery", "WINDOW": "a window", "STAR": "*", "PARAMETER": "$"}


def quote_identifier(name: str) -> str:
    """A column or table name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def sql_path(path: Path) -> str:
    """A path as SQL; brackets and stars in a file's own name are no pattern."""
    return quote_literal("".join(f"[{c}]" if c in "*?[" else c for c in str(path)))


def column_sql(
    con: duckdb.DuckDBPyConnection, key: str, spec: str, columns: Sequence[str], file: str
) -> str:
    """The SQL of one value per row.

    Args:
        con: A connection; nothing is read through it.
        key: The key of `dataset.toml`, for messages, such as `interactions.columns.user_id`.
        spec: What stands there: a column's name, exact or but for letter case, or an expression.
        columns: The columns of the file.
        file: Name of the file, for messages.

    Raises:
        DataError: It is no column and no expression that can be allowed.
    """
    if spec in columns:
        return quote_identifier(spec)
    same_but_case = [column for column in columns if column.casefold() == spec.casefold()]
    if len(same_but_case) == 1:
        return quote_identifier(same_but_case[0])
    if _BARE_WORD.fullmatch(spec):
        close = nearest(spec, columns)
        hint = f" Did you mean {close!r}?" if close else ""
        raise DataError(
            f"{file} has no column {spec!r}, which {key} asks for. Columns found: "
            f"{_listed(columns)}.{hint} Correct {key} in dataset.toml."
        )
    _check_expression(con, key, spec, columns, file)
    # The line break keeps a trailing SQL comment from swallowing the bracket.
    return f"(\n{spec}\n)"


def invalid_expression(
    key: str, spec: str, columns: Sequence[str], file: str, why: str
) -> DataError:
    """The error for a spec that DuckDB or this project refuses."""
    return DataError(
        f"{key} = {spec!r} is neither a column of {file} nor a usable DuckDB expression over its "
        f"columns: {why.strip()} Columns found: {_listed(columns)}. Correct {key} in dataset.toml; "
        f"columns of csv, tsv and jsonl are text, so write TRY_CAST(x AS DOUBLE) before comparing "
        f"with a number."
    )


def _check_expression(
    con: duckdb.DuckDBPyConnection, key: str, spec: str, columns: Sequence[str], file: str
) -> None:
    def refuse(why: str) -> DataError:
        return invalid_expression(key, spec, columns, file, why)

    row = con.execute("SELECT json_serialize_sql(?)", [f"SELECT {spec}"]).fetchone()
    assert row is not None
    parsed: dict[str, Any] = json.loads(row[0])
    if parsed["error"]:
        raise refuse(f"{parsed['error_message']}.")
    nodes = [statement["node"] for statement in parsed["statements"]]
    if len(nodes) != 1 or not _is_lone_expression(nodes[0]):
        raise refuse("it is more than one expression.")
    for part in _walk(nodes[0]["select_list"]):
        kind = part.get("class")
        if kind in _NOT_ROW_BY_ROW:
            raise refuse(f"it holds {_NOT_ROW_BY_ROW[kind]}, expected one value from each row.")


def _is_lone_expression(node: dict[str, Any]) -> bool:
    return (
        node["type"] == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and node["from_table"]["type"] == "EMPTY"
        and not node["modifiers"]
        and not any(node[clause] for clause in ("where_clause", "group_expressions", "having"))
        and not any(node[clause] for clause in ("qualify", "sample"))
    )


def _walk(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for branch in tree.values():
            yield from _walk(branch)
    elif isinstance(tree, list):
        for branch in tree:
            yield from _walk(branch)


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(columns[:30])
    return shown + (f" and {len(columns) - 30} more" if len(columns) > 30 else "")
