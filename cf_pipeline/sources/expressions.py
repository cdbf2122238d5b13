"""From a column of `dataset.toml` to SQL of the type of our own column.

What stands there is the name of a column or an expression over columns. An expression is taken to
pieces by DuckDB's own parser before it is used: one value per row, from the columns of that file,
and nothing that reads other tables or files. A bare word that is no column is always a missing
column, never a DuckDB keyword such as `user` that happens to have a value.

Whatever its type, a value becomes one of ours, or NULL where it cannot. Ids and labels are text:
the digits of a number stay as they are, a blank text is no value. A number as a time is unix
seconds; a time without a zone is UTC, whatever the session's zone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from cf_pipeline.errors import DataError
from cf_pipeline.sources.dataset import nearest
from cf_pipeline.sources.ledger import ROW, Scan
from cf_pipeline.sql import quoted

_BARE_WORD = re.compile(r"[^\W\d]\w*")
_NOT_ROW_BY_ROW = {"SUBQUERY": "a subquery", "WINDOW": "a window", "STAR": "*", "PARAMETER": "$"}
_CLAUSES = ("where_clause", "group_expressions", "having", "qualify", "sample", "modifiers")
_NUMBER = re.compile(
    r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|INTEGER_LITERAL"
)
_BLANK = r"E' \t\r\n'"
_HAS_ZONE = r"\d:\d\d.*([+-]\d\d(:?\d\d)?|[zZ])$"
# Years 1 to 9999. Milliseconds taken for seconds lie beyond, and are refused rather than believed.
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799


@dataclass(frozen=True)
class Bound:
    """What a column of ours is computed from in one file: SQL over its columns, and the type."""

    sql: str
    duckdb_type: str


def bind(con: duckdb.DuckDBPyConnection, key: str, spec: str, scan: Scan) -> Bound:
    """Find out what a key of `dataset.toml` means in one file; no row is read.

    Args:
        con: The connection of the scan.
        key: Where the spec stands, such as `interactions.columns.user_id`.
        spec: A column's name, exact or but for letter case, or an expression.
        scan: The file.

    Raises:
        DataError: It is no column and no expression that can be allowed.
    """
    same_but_case = [column for column in scan.columns if column.casefold() == spec.casefold()]
    if spec in scan.columns:
        sql = quoted(spec)
    elif len(same_but_case) == 1:
        sql = quoted(same_but_case[0])
    elif _BARE_WORD.fullmatch(spec):
        close = nearest(spec, scan.columns)
        hint = f" Did you mean {close!r}?" if close else ""
        raise DataError(
            f"{scan.file} has no column {spec!r}, which {key} asks for. Columns found: "
            f"{_listed(scan.columns)}.{hint} Correct {key} in dataset.toml."
        )
    else:
        why = _why_not_row_by_row(con, spec)
        if why:
            raise _refused(key, spec, scan, why)
        sql = f"(\n{spec}\n)"  # the line break keeps a trailing comment from swallowing the bracket
    try:
        described = con.execute(
            f"DESCRIBE SELECT {ROW}, {sql} AS value FROM ({scan.relation})"
        ).fetchall()
    except duckdb.Error as error:
        raise _refused(key, spec, scan, first_line(error)) from error
    return Bound(sql, str(described[1][1]))


def first_line(error: duckdb.Error) -> str:
    """DuckDB's message without its advice about options that are not ours."""
    return str(error).strip().splitlines()[0] + "."


def _refused(key: str, spec: str, scan: Scan, why: str) -> DataError:
    return DataError(
        f"{key} = {spec!r} is neither a column of {scan.file} nor a usable DuckDB expression over "
        f"its columns: {why.strip()} Columns found: {_listed(scan.columns)}. Correct {key} in "
        f"dataset.toml; columns of csv, tsv and jsonl are text, so write TRY_CAST(x AS DOUBLE) "
        f"before comparing with a number."
    )


def _why_not_row_by_row(con: duckdb.DuckDBPyConnection, spec: str) -> str | None:
    """Why a spec is not one expression that takes one row; None where it is."""
    [(text,)] = con.execute("SELECT json_serialize_sql(?)", [f"SELECT {spec}"]).fetchall()
    parsed: dict[str, Any] = json.loads(text)
    if parsed["error"]:
        return f"{parsed['error_message']}."
    nodes = [statement["node"] for statement in parsed["statements"]]
    is_lone = (
        [node["type"] for node in nodes] == ["SELECT_NODE"]
        and len(nodes[0]["select_list"]) == 1
        and nodes[0]["from_table"]["type"] == "EMPTY"
        and not any(nodes[0][clause] for clause in _CLAUSES)
    )
    if not is_lone:
        return "it is more than one expression."
    kinds = {part.get("class") for part in _walk(nodes[0]["select_list"])}
    found = next((word for kind, word in _NOT_ROW_BY_ROW.items() if kind in kinds), None)
    return f"it holds {found}, expected one value from each row." if found else None


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


def converted_sql(kind: str, value: str, bound: Bound, key: str, scan: Scan) -> str:
    """A value of a file as one of ours, NULL where it cannot be one.

    Args:
        kind: VARCHAR, VARCHAR[], TIMESTAMP or BIGINT, which is a count.
        value: SQL of the value.
        bound: What it is bound to.
        key: Where that stands in `dataset.toml`.
        scan: The file.

    Raises:
        DataError: A time is wanted, and the type holds no times.
    """
    if kind == "VARCHAR[]":
        return _texts_sql(value, bound.duckdb_type, scan.is_json)
    if kind == "TIMESTAMP":
        return _time_sql(value, bound.duckdb_type, f"{key} of {scan.file}")
    return _count_sql(value) if kind == "BIGINT" else text_sql(value)


def text_sql(value: str) -> str:
    """VARCHAR, blank as NULL."""
    text = f"CAST({value} AS VARCHAR)"
    return f"CASE WHEN trim({text}, {_BLANK}) <> '' THEN {text} END"


def _texts_sql(value: str, duckdb_type: str, is_json: bool) -> str:
    """VARCHAR[], from a list or from one text, blanks left out, empty as NULL."""
    if duckdb_type.endswith("]"):  # a list, or an array of one length
        texts = f"CAST({value} AS VARCHAR[])"
    else:
        text = f"CAST({value} AS VARCHAR)"
        texts = f"[{text}]"
        if is_json:
            parsed = f"TRY_CAST(TRY_CAST({text} AS JSON) AS VARCHAR[])"
            texts = (
                f"CASE WHEN starts_with({text}, '[') THEN coalesce({parsed}, {texts}) "
                f"ELSE {texts} END"
            )
    filled = f"list_filter({texts}, lambda text: trim(text, {_BLANK}) <> '')"
    return f"CASE WHEN len({filled}) > 0 THEN {filled} END"


def _count_sql(value: str) -> str:
    """BIGINT where the value is a positive whole number, else NULL."""
    number = f"TRY_CAST(trim(CAST({value} AS VARCHAR), {_BLANK}) AS DOUBLE)"
    # Above 2^53 a DOUBLE cannot tell whole numbers apart.
    return (
        f"CASE WHEN {number} BETWEEN 1 AND 9007199254740992 AND {number} = floor({number}) "
        f"THEN CAST({number} AS BIGINT) END"
    )


def _time_sql(value: str, duckdb_type: str, what: str) -> str:
    """TIMESTAMP in UTC where the value can be read as a time, else NULL."""
    if duckdb_type == "TIMESTAMP WITH TIME ZONE":
        return _finite(f"({value} AT TIME ZONE 'UTC')")
    if duckdb_type.startswith("TIMESTAMP") or duckdb_type == "DATE":
        return _finite(f"CAST({value} AS TIMESTAMP)")
    if _NUMBER.fullmatch(duckdb_type):
        return _from_seconds(f"CAST({value} AS DOUBLE)")
    if duckdb_type not in {"VARCHAR", "JSON"}:
        raise DataError(
            f"{what} has the type {duckdb_type}, expected a timestamp, a date, ISO "
            f"text or unix seconds. Name another column or convert it by an expression."
        )
    text = f"trim(CAST({value} AS VARCHAR), {_BLANK})"
    seconds = f"TRY_CAST({text} AS DOUBLE)"
    # A plain cast to TIMESTAMP drops the zone, one to TIMESTAMPTZ adds the session's where none is.
    zoned = f"(TRY_CAST({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
    plain = f"TRY_CAST({text} AS TIMESTAMP)"
    return (
        f"CASE WHEN {seconds} IS NOT NULL THEN {_from_seconds(seconds)} "
        f"WHEN regexp_matches({text}, '{_HAS_ZONE}') THEN {_finite(zoned)} "
        f"ELSE {_finite(plain)} END"
    )


def _from_seconds(seconds: str) -> str:
    return (
        f"CASE WHEN {seconds} BETWEEN {_FIRST_SECOND} AND {_LAST_SECOND} "
        f"THEN make_timestamp(CAST(round({seconds} * 1000000) AS BIGINT)) END"
    )


def _finite(time: str) -> str:
    return f"CASE WHEN isfinite({time}) THEN {time} END"
