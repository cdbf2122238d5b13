"""Which table is what, and what its columns mean: names first, and values where they decide.

Who did what is a table one column of which speaks of the rows of another; which of its columns
says who, what and when goes by names that people give them, and by what such values look like.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import duckdb

from cf_pipeline.errors import DataError
from cf_pipeline.sources.column_roles import (
    FEW,
    described_by,
    event_columns,
    is_fraction,
    is_named,
    user_column,
)
from cf_pipeline.sources.matched_pictures import PictureIndex, Pictures
from cf_pipeline.sources.matched_vectors import Vectors, vectors_of
from cf_pipeline.sources.survey import FoundTable, Survey, counted_values
from cf_pipeline.sql import literal, quoted


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
        vectors: files of vectors beside, those that are of these projects first.
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
    vectors: list[Vectors] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    unread: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def guess(con: duckdb.DuckDBPyConnection, found: Survey) -> Guess:
    """Give tables and columns their roles.

    Args:
        con: holds the samples.
        found: the folder.

    Raises:
        DataError: no two tables speak of the same ids, or there are neither pictures nor vectors of
            the projects.
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
                + 0.5 * is_named(column, "project")
                - 1.0 * is_named(column, "user")
                + 0.05 * len(described_by(projects, id_column))
            )
            if best is None or score > best[0] + 1e-9:
                best = (score, events, column, projects, id_column, where)
    if best is None:
        raise DataError(_nothing_found(found))
    _, events, column, projects, id_column, where = best
    said = event_columns(con, events, column)
    vectors = vectors_of(con, found, projects, id_column)
    if where is None and not any(each.keys for each in vectors):
        raise DataError(_nothing_seen(found, projects, id_column))
    kinds = said.kinds
    if said.kind is not None:
        kinds = counted_values(con, found.folder, events, said.kind)
        if len(kinds) > FEW:
            said.notes.append(f"{said.kind!r} has {len(kinds)} values, each of which is a kind")
    described = {"project_id": id_column, **described_by(projects, id_column)}
    return Guess(
        events,
        projects,
        said.columns,
        described,
        kinds,
        where,
        _owner_user(con, events, said.columns, projects, described),
        vectors,
        _left_out(found, events, projects, vectors),
        found.unread,
        said.notes,
    )


def _could_be_projects(found: Survey) -> Iterator[tuple[FoundTable, str]]:
    """Tables with a column that tells every row apart."""
    for table in found.tables:
        for column in table.columns.values():
            unique = column.n_filled and column.n_distinct >= 0.98 * column.n_filled
            if unique and not column.is_list and column.times < 0.5 and not is_fraction(column):
                yield table, column.name


def _could_be_events(found: Survey, projects: FoundTable) -> Iterator[tuple[FoundTable, str]]:
    """Other tables with a column that repeats its values, and another beside it for users."""
    for table in found.tables:
        if table is projects:
            continue
        for column in table.columns.values():
            if column.is_list or column.times > 0.5 or not column.n_filled:
                continue
            if user_column(table, column.name) is not None:
                yield table, column.name


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


def _left_out(
    found: Survey, events: FoundTable, projects: FoundTable, vectors: list[Vectors]
) -> list[str]:
    used = {events.reading.files, projects.reading.files, *(each.files for each in vectors)}
    return [table.label for table in found.tables if table.reading.files not in used]


def _nothing_seen(found: Survey, projects: FoundTable, id_column: str) -> str:
    beside = ", ".join(found.vectors) or "none"
    return (
        f"{found.folder}: neither a picture nor a vector was matched to the projects of "
        f"{projects.label} (by {id_column}), and a network has to learn from one of them. "
        f"Pictures: {len(found.pictures):,}; files of vectors: {beside}. Expected pictures below "
        "the folder that a column names or that are called as ids are, or vectors: a .npy matrix "
        "with a text file of ids beside it, parquet with a column of lists, or .b records. Nothing "
        "was written."
    )


def _nothing_found(found: Survey) -> str:
    tables = ", ".join(table.label for table in found.tables) or "none"
    return (
        f"{found.folder}: no two tables were found of which one says who did what with the rows of "
        f"the other. Tables: {tables}; pictures: {len(found.pictures):,}. Expected one with a "
        "column of users and one of project ids, and one with a row for each project. Write "
        "dataset.toml by hand, from the template that ships."
    )
