"""Who, what, when: roles of the columns of a table, by their names and by what values look like."""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb

from cf_pipeline.sources.survey import Column, FoundTable
from cf_pipeline.sql import literal, quoted

_WORDS = {
    "user": "user users member customer visitor account person people listener reader reviewer "
    "client buyer who uid session profile",
    "project": "project projects item items product movie film work artwork picture image photo "
    "asset article book isbn song track sku object post listing piece game recipe id",
    "kind": "kind action event type verb activity interaction behavior behaviour",
    "rating": "rating ratings stars score grade",
    "time": "time timestamp date when at ts created datetime day",
    "count": "count counts times plays n views quantity amount hits",
    "title": "title name caption headline label",
    "owner": "owner owners author authors artist creator maker contributor uploader designer "
    "photographer brand seller studio",
    "field": "field category section department genre genres class style",
    "tags": "tags tag keywords genres labels topics",
    "cover": "cover picture image photo thumbnail poster file filename path img",
}
_NAMES = {role: frozenset(words.split()) for role, words in _WORDS.items()}
_ABOUT_A_USER = frozenset([
    "session",
    "ip",
    "agent",
    "device",
    "browser",
    "cookie",
    "name",
    "email",
    "age",
    "gender",
    "type",
    "country",
    "city",
    "zip",
])
"""Words of columns that tell something of a user, and not who it is."""
FEW = 20
"""A column of kinds has at most so many."""
_PARTS_OF_A_SECOND = (1, 10**3, 10**6, 10**9)
_FIRST_SECOND, _LAST_SECOND = 6e8, 2.2e9
"""January 1989 to September 2039."""
_FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S")


@dataclass(frozen=True)
class EventColumns:
    """Roles of the columns of who did what.

    Attributes:
        columns: role to column or expression.
        kind: the column of kinds, None where kinds are made of something else.
        kinds: its most frequent values, or what is made.
        notes: what was unsure.
    """

    columns: dict[str, str]
    kind: str | None
    kinds: list[str]
    notes: list[str]


def words_of(name: str) -> set[str]:
    """Lower-case words of a name in snake or camel case."""
    return set(_in_order(name))


def is_named(name: str, role: str) -> bool:
    """Whether a column's name has a word of a role."""
    return bool(words_of(name) & _NAMES[role])


def is_fraction(column: Column) -> bool:
    """Whether values are numbers with a point."""
    return column.numeric > 0.9 and any("." in value for value in column.common)


def user_column(table: FoundTable, project: str) -> str | None:
    """The column that says who: by its name, or else the one with most values that is no time."""
    others = [
        column
        for column in table.columns.values()
        if column.name != project and not column.is_list and column.n_filled
    ]
    named = [c for c in others if is_named(c.name, "user")]
    if named:
        return min(named, key=_how_far_from_an_id).name
    possible = [
        c for c in others
        if c.times < 0.5 and not is_fraction(c) and _unit(c) is None
        and not any(is_named(c.name, role) for role in ("rating", "count", "time"))
        and FEW < c.n_distinct < c.n_filled
    ]  # fmt: skip
    return max(possible, key=lambda c: c.n_distinct).name if possible else None


def event_columns(con: duckdb.DuckDBPyConnection, table: FoundTable, project: str) -> EventColumns:
    """Roles of the columns of a table of events, one of which is that of projects."""
    user = str(user_column(table, project))  # there is one: it was asked for before
    columns, notes = {"user_id": user, "project_id": project}, []
    others = [c for c in table.columns.values() if c.name not in (user, project) and not c.is_list]
    if not is_named(user, "user") or words_of(user) & _ABOUT_A_USER:
        notes.append(f"{user!r} was taken for the user")
    kinds = ["view"]
    kind = next((c for c in others if is_named(c.name, "kind") and c.n_distinct <= FEW), None)
    rating = next((c for c in others if is_named(c.name, "rating") and c.numeric > 0.99), None)
    if kind is not None:
        columns["kind"], kinds = kind.name, list(kind.common)
    elif rating is not None and rating.high is not None:
        liked = 0.8 * rating.high
        columns["kind"] = (
            f"CASE WHEN TRY_CAST({quoted(rating.name)} AS DOUBLE) >= {liked:g} "
            "THEN 'appreciation' ELSE 'view' END"
        )
        kinds = ["view", "appreciation"]
        notes.append(f"{rating.name!r} of {liked:g} and more was taken for an appreciation")
    else:
        columns["kind"] = "'view'"
    when, unread = _when(con, table, others)
    if when is not None:
        columns["occurred_at"] = when
    notes += [f"{name!r} may be a time, and was left out: occurred_at" for name in unread]
    count = next(
        (c for c in others if is_named(c.name, "count") and c.numeric > 0.99 and _unit(c) is None
         and not is_fraction(c) and (c.low or 0) >= 1),
        None,
    )  # fmt: skip
    if count is not None:
        columns["count"] = count.name
    return EventColumns(columns, kind.name if kind else None, kinds, notes)


def described_by(table: FoundTable, id_column: str) -> dict[str, str]:
    """What else is known of projects: title, owners, field, tags."""
    found: dict[str, str] = {}
    taken = {id_column}
    for role, key in (
        ("title", "title"),
        ("owner", "owners"),
        ("tags", "tags"),
        ("field", "field"),
    ):
        column = next(
            (c for c in table.columns.values() if is_named(c.name, role) and c.name not in taken),
            None,
        )
        if column is None or (key == "field" and column.n_distinct > 200):
            continue
        taken.add(column.name)
        found[key] = _split(column) if key == "tags" else column.name
        if key == "tags" and "genres" in words_of(column.name) and "|" in found[key]:
            found["field"] = f"split_part({quoted(column.name)}, '|', 1)"
    return found


def _in_order(name: str) -> list[str]:
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.split(r"[^A-Za-z]+", apart) if word]


def _how_far_from_an_id(column: Column) -> tuple[bool, bool, int]:
    words = _in_order(column.name)
    is_id = words[-1] in _NAMES["user"] | {"id", "key", "hash", "code"}
    return bool(_ABOUT_A_USER.intersection(words)), not is_id, -column.n_distinct


def _unit(column: Column) -> int | None:
    """Parts of a second that numbers count since 1970, None where they look like no time."""
    if column.numeric <= 0.99 or column.low is None or column.high is None:
        return None
    if column.n_distinct <= FEW and not is_named(column.name, "time"):
        return None
    for unit in _PARTS_OF_A_SECOND:
        if _FIRST_SECOND * unit < column.low and column.high < _LAST_SECOND * unit:
            return unit
    return None


def _when(
    con: duckdb.DuckDBPyConnection, table: FoundTable, columns: list[Column]
) -> tuple[str | None, list[str]]:
    """The first column of times or an expression that reads it, and what only is called one."""
    unread: list[str] = []
    # Of several the one that is called so: others may be numbers that happen to lie there.
    for column in sorted(columns, key=lambda c: not is_named(c.name, "time")):
        spec = _time(con, table, column)
        if spec is not None:
            return spec, unread
        if is_named(column.name, "time") and not is_named(column.name, "count"):
            unread.append(column.name)
    return None, unread


def _time(con: duckdb.DuckDBPyConnection, table: FoundTable, column: Column) -> str | None:
    if column.times > 0.9:
        return column.name
    unit, name = _unit(column), quoted(column.name)
    if unit is not None:
        return column.name if unit == 1 else f"TRY_CAST({name} AS DOUBLE) / {unit}"
    if not is_named(column.name, "time") or column.n_filled == 0:
        return None
    read = []
    for form in (f"{day}{clock}" for day in _FORMATS for clock in _CLOCKS):
        spec = f"try_strptime({name}, {literal(form)})"
        [(n,)] = con.execute(
            f"SELECT count({spec}) FROM (SELECT CAST({name} AS VARCHAR) AS {name} "
            f"FROM {table.sample})"
        ).fetchall()
        if n >= 0.99 * column.n_filled:
            read.append(spec)
    # Days that never go beyond 12 may be months: whoever knows is asked.
    return read[0] if len(read) == 1 else None


def _split(column: Column) -> str:
    """A list as it is; else a text cut where its values have a separator."""
    for mark in ("|", ";", ","):
        if not column.is_list and sum(mark in value for value in column.common) >= 2:
            return f"string_split({quoted(column.name)}, '{mark}')"
    return column.name
