"""Which table is what, and what its columns mean: names first, and values where they decide.

Who did what is a table one column of which speaks of the rows of another; which of its columns
says who, what and when goes by names that people give them, and by what such values look like.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import duckdb

from cf_pipeline.errors import DataError
from cf_pipeline.sources.matched_pictures import PictureIndex, Pictures
from cf_pipeline.sources.survey import Column, FoundTable, Survey
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
_FEW = 20
"""A column of kinds has at most so many."""


@dataclass
class Guess:
    """What a folder seems to hold.

    Attributes:
        interactions: who did what.
        projects: what it was done to.
        columns: of interactions, role to column or expression.
        project_columns: likewise.
        kinds: values of kind, most frequent first; those that follow from a rating are two.
        pictures: where covers lie; None: none were matched.
        owner_user: how owners are written as users.
        vectors: files of vectors beside.
        left_out: tables that were given no role.
        unread: file to why it is no table.
        notes: what was unsure.
    """

    interactions: FoundTable
    projects: FoundTable
    columns: dict[str, str]
    project_columns: dict[str, str]
    kinds: list[str]
    pictures: Pictures | None
    owner_user: str | None = None
    vectors: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    unread: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def guess(con: duckdb.DuckDBPyConnection, found: Survey) -> Guess:
    """Give tables and columns their roles.

    Args:
        con: holds the samples.
        found: the folder.

    Raises:
        DataError: no two tables speak of the same ids.
    """
    places = PictureIndex(found.pictures)
    best: tuple[float, FoundTable, str, FoundTable, str, Pictures | None] | None = None
    pictured: dict[tuple[str, str], Pictures | None] = {}
    for projects, id_column in _could_be_projects(found):
        for events, column in _could_be_events(found, projects):
            share = _overlap(con, events, column, projects, id_column)
            if share < 0.2:
                continue
            key = (projects.sample, id_column)
            if key not in pictured:
                pictured[key] = places.of(con, projects, id_column)
            where = pictured[key]
            score = (
                share * math.log10(10 + events.n_rows)
                + 2 * (where.share if where else 0)
                + 0.5 * (column.casefold() == id_column.casefold())
                + 0.5 * _is(column, "project")
                - 1.0 * _is(column, "user")
                + 0.05 * len(_described(projects, id_column))
            )
            if best is None or score > best[0] + 1e-9:
                best = (score, events, column, projects, id_column, where)
    if best is None:
        raise DataError(_nothing_found(found))
    _, events, column, projects, id_column, where = best
    columns, kinds, notes = _event_columns(events, column)
    if where is None and not found.vectors:
        notes.append("no picture was matched to a project: name covers.folder and the column cover")
    described = {"project_id": id_column, **_described(projects, id_column)}
    return Guess(
        events,
        projects,
        columns,
        described,
        kinds,
        where,
        _owner_user(con, events, columns, projects, described),
        found.vectors,
        [t.label for t in found.tables if t not in (events, projects)],
        found.unread,
        notes,
    )


def _words_of(name: str) -> set[str]:
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return {word.lower() for word in re.split(r"[^A-Za-z]+", apart) if word}


def _is(name: str, role: str) -> bool:
    return bool(_words_of(name) & _NAMES[role])


def _could_be_projects(found: Survey) -> Iterator[tuple[FoundTable, str]]:
    """Tables with a column that tells every row apart."""
    for table in found.tables:
        for column in table.columns.values():
            unique = column.n_filled and column.n_distinct >= 0.98 * column.n_filled
            if unique and not column.is_list and column.times < 0.5 and not _is_fraction(column):
                yield table, column.name


def _could_be_events(found: Survey, projects: FoundTable) -> Iterator[tuple[FoundTable, str]]:
    """Other tables with a column that repeats its values, and another beside it for users."""
    for table in found.tables:
        if table is projects:
            continue
        for column in table.columns.values():
            if column.is_list or column.times > 0.5 or not column.n_filled:
                continue
            if _user_column(table, column.name) is not None:
                yield table, column.name


def _is_fraction(column: Column) -> bool:
    return column.numeric > 0.9 and any("." in value for value in column.common)


def _user_column(table: FoundTable, project: str) -> str | None:
    """The column that says who: by its name, or else the one with most values that is no time."""
    others = [
        column
        for column in table.columns.values()
        if column.name != project and not column.is_list and column.n_filled
    ]
    named = [c for c in others if _is(c.name, "user")]
    if named:
        return max(named, key=lambda c: c.n_distinct).name
    possible = [
        c for c in others
        if c.times < 0.5 and not _is_fraction(c) and not _is_time(c) and not _is(c.name, "rating")
        and not _is(c.name, "count") and _FEW < c.n_distinct < c.n_filled
    ]  # fmt: skip
    return max(possible, key=lambda c: c.n_distinct).name if possible else None


def _is_time(column: Column) -> bool:
    if column.times > 0.9:
        return True
    seconds = column.numeric > 0.99 and (column.low or 0) > 6e8 and (column.high or 0) < 2.2e9
    return seconds and (column.n_distinct > _FEW or _is(column.name, "time"))


def _overlap(
    con: duckdb.DuckDBPyConnection, a: FoundTable, column: str, b: FoundTable, other: str
) -> float:
    """Share of one column's different values that the other has."""
    ours, theirs = (
        f"SELECT DISTINCT trim(CAST({quoted(c)} AS VARCHAR)) AS v FROM {t.sample} "
        f"WHERE {quoted(c)} IS NOT NULL"
        for t, c in ((a, column), (b, other))
    )
    [(n, both)] = con.execute(
        f"SELECT count(*), count_if(v IN (SELECT v FROM ({theirs}))) FROM ({ours})"
    ).fetchall()
    return float(both / n) if n else 0.0


def _event_columns(table: FoundTable, project: str) -> tuple[dict[str, str], list[str], list[str]]:
    """Roles of columns, kinds, and what is unsure."""
    user = str(_user_column(table, project))  # there is one: it was asked for before
    columns, notes = {"user_id": user, "project_id": project}, []
    others = [c for c in table.columns.values() if c.name not in (user, project) and not c.is_list]
    if not _is(user, "user"):
        notes.append(f"{user!r} was taken for the user, by its values")
    kinds = ["view"]
    kind = next((c for c in others if _is(c.name, "kind") and c.n_distinct <= _FEW), None)
    rating = next((c for c in others if _is(c.name, "rating") and c.numeric > 0.99), None)
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
    when = next((c for c in others if _is_time(c)), None)
    if when is not None:
        columns["occurred_at"] = when.name
    count = next(
        (c for c in others if _is(c.name, "count") and c.numeric > 0.99 and not _is_time(c)
         and not _is_fraction(c) and (c.low or 0) >= 1),
        None,
    )  # fmt: skip
    if count is not None:
        columns["count"] = count.name
    return columns, kinds, notes


def _described(table: FoundTable, id_column: str) -> dict[str, str]:
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
            (c for c in table.columns.values() if _is(c.name, role) and c.name not in taken), None
        )
        if column is None or (key == "field" and column.n_distinct > 200):
            continue
        taken.add(column.name)
        found[key] = _split(column) if key == "tags" else column.name
        if key == "tags" and "genres" in _words_of(column.name) and "|" in found[key]:
            found["field"] = f"split_part({quoted(column.name)}, '|', 1)"
    return found


def _split(column: Column) -> str:
    """A list as it is; else a text cut where its values have a separator."""
    for mark in ("|", ";", ","):
        if not column.is_list and sum(mark in value for value in column.common) >= 2:
            return f"string_split({quoted(column.name)}, '{mark}')"
    return column.name


def _owner_user(
    con: duckdb.DuckDBPyConnection,
    events: FoundTable,
    columns: Mapping[str, str],
    projects: FoundTable,
    described: Mapping[str, str],
) -> str | None:
    """How an owner is written as a user: alike, or with a word before it."""
    owner = described.get("owners")
    if owner is None or projects.columns[owner].is_list:
        return None
    user, owner = quoted(columns["user_id"]), quoted(owner)
    prefixes = con.execute(
        f"SELECT DISTINCT regexp_extract(CAST({user} AS VARCHAR), '^[A-Za-z]+[:/_-]') AS p "
        f"FROM {events.sample} LIMIT 20"
    ).fetchall()
    for prefix in ["", *(p for (p,) in prefixes if p)]:
        [(n, both)] = con.execute(
            f"SELECT count(*), count_if({literal(prefix)} || o IN (SELECT CAST({user} AS VARCHAR) "
            f"FROM {events.sample})) FROM (SELECT DISTINCT CAST({owner} AS VARCHAR) AS o "
            f"FROM {projects.sample} WHERE {owner} IS NOT NULL)"
        ).fetchall()
        if n and both >= 0.2 * n:
            return f"{prefix}{{owner}}"
    return None


def _nothing_found(found: Survey) -> str:
    tables = ", ".join(table.label for table in found.tables) or "none"
    return (
        f"{found.folder}: no two tables were found of which one says who did what with the rows of "
        f"the other. Tables: {tables}; pictures: {len(found.pictures):,}. Expected one with a "
        "column of users and one of project ids, and one with a row for each project. Write "
        "dataset.toml by hand, from the template that ships."
    )
