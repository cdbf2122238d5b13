"""SQL that turns a value of any type into the type of our own column, or NULL where it cannot.

Ids and labels are text: the digits of a number stay as they are, a blank text is no value. A
number as a time is unix seconds; a time without a zone is UTC, whatever the session's zone.
"""

from __future__ import annotations

import re

from cf_pipeline.errors import DataError

_LIST = re.compile(r"\[\d*\]$")
_NUMBER = re.compile(
    r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|INTEGER_LITERAL"
)
_BLANK = r"E' \t\r\n'"
_HAS_ZONE = r"\d:\d\d.*([+-]\d\d(:?\d\d)?|[zZ])$"
# Years 1 to 9999. Milliseconds taken for seconds lie beyond, and are refused rather than believed.
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799


def is_list(duckdb_type: str) -> bool:
    """Whether a DuckDB type is a list or an array."""
    return bool(_LIST.search(duckdb_type))


def text_sql(value: str) -> str:
    """VARCHAR, blank as NULL."""
    text = f"CAST({value} AS VARCHAR)"
    return f"CASE WHEN trim({text}, {_BLANK}) <> '' THEN {text} END"


def texts_sql(value: str, duckdb_type: str, is_json: bool) -> str:
    """VARCHAR[], from a list or from one text, blanks left out, empty as NULL."""
    if is_list(duckdb_type):
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


def count_sql(value: str) -> str:
    """BIGINT where the value is a positive whole number, else NULL."""
    number = f"TRY_CAST(trim(CAST({value} AS VARCHAR), {_BLANK}) AS DOUBLE)"
    # Above 2^53 a DOUBLE cannot tell whole numbers apart.
    return (
        f"CASE WHEN {number} BETWEEN 1 AND 9007199254740992 AND {number} = floor({number}) "
        f"THEN CAST({number} AS BIGINT) END"
    )


def time_sql(value: str, duckdb_type: str, key: str, file: str) -> str:
    """TIMESTAMP in UTC where the value can be read as a time, else NULL.

    Raises:
        DataError: The type holds no times.
    """
    if duckdb_type == "TIMESTAMP WITH TIME ZONE":
        return _finite(f"({value} AT TIME ZONE 'UTC')")
    if duckdb_type.startswith("TIMESTAMP") or duckdb_type == "DATE":
        return _finite(f"CAST({value} AS TIMESTAMP)")
    if _NUMBER.fullmatch(duckdb_type):
        return _from_seconds(f"CAST({value} AS DOUBLE)")
    if duckdb_type not in {"VARCHAR", "JSON"}:
        raise DataError(
            f"{key} of {file} has the type {duckdb_type}, expected a timestamp, a date, ISO "
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
