"""What the doctor looks at, once a data set's two tables are read: one function per subject.

Each compares counts that DuckDB makes of the two tables with what `dataset.toml` says, and
yields findings with the figures in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import duckdb

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.feature_files import batches
from cf_pipeline.sources.files import cover_paths, feature_files
from cf_pipeline.sql import literal, written_as

MAX_COVERS_LOOKED_FOR = 20_000
"""Of more covers, every n-th is looked for, so that a large collection does not take minutes."""

_PROJECT_ID_FORMS = {
    "leading zeros aside": "ltrim(project_id, '0')",
    "a trailing .0 aside": r"regexp_replace(project_id, '\.0$', '')",
    "letter case aside": "lower(project_id)",
    "spaces around them aside": "trim(project_id)",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: `ok`, `warning` (the result would suffer) or `error` (a run would stop).
        subject: What was looked at, a word or two.
        message: What was found.
        remedy: What to do; empty where nothing is to be done.
    """

    level: Literal["ok", "warning", "error"]
    subject: str
    message: str
    remedy: str = ""


def kinds_findings(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> Iterator[Finding]:
    """Kinds that occur against kinds that are declared, and what they are for."""
    query = "SELECT kind, count(*) AS n FROM loaded_interactions GROUP BY kind ORDER BY n DESC"
    seen = dict(con.execute(query).fetchall())
    yield Finding("ok", "kinds", ", ".join(f"{kind} {n:,}" for kind, n in seen.items()))
    for kind in dataset.kinds:
        if kind not in seen:
            yield Finding(
                "warning",
                "kinds",
                f"{kind!r} is declared but no interaction is of that kind",
                f"Correct the name of [kinds.{kind}] or take it out.",
            )
    for flag, use in (("matrix", "to learn from"), ("truth", "to judge similarity by")):
        if not any(getattr(dataset.kinds[kind], flag) for kind in seen):
            yield Finding(
                "error",
                "kinds",
                f"no kind that occurs has {flag} = true, so there is nothing {use}",
                f"Set {flag} = true for at least one kind.",
            )


def times_findings(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """The span of time, which shows a unit or a format that was misread."""
    first, last = _row(con, "SELECT min(occurred_at), max(occurred_at) FROM loaded_interactions")
    if first is None:
        return
    tomorrow = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    is_odd = first < datetime(1990, 1, 1) or last > tomorrow
    message = f"interactions from {first} to {last} (UTC)"
    remedy = "Numbers are read as unix seconds; convert others by an expression."
    yield _looked_at("times", message, not is_odd, remedy)


def ages_findings(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> Iterator[Finding]:
    """Whether events of kinds that age have a time."""
    for name, kind in dataset.kinds.items():
        if kind.half_life_days is None or not kind.matrix:
            continue
        n_without, n = _row(
            con,
            "SELECT count_if(occurred_at IS NULL), count(*) FROM loaded_interactions "
            f"WHERE kind = {literal(name)}",
        )
        message = f"{n - n_without:,} of {n:,} events of kind {name!r}, which ages, have a time"
        remedy = "Name the column of times in interactions.columns, or take half_life_days out."
        if n_without:
            yield Finding("error", "half_life_days", message, remedy)
        else:
            yield Finding("ok", "half_life_days", message)


def excluded_users_findings(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> Iterator[Finding]:
    """Whether the users that are left out occur, and what they take with them."""
    excluded = sorted(set(dataset.users.exclude_users))
    if not excluded:
        return
    listed = ", ".join(literal(user) for user in excluded)
    n_events, total, present = _row(
        con,
        f"SELECT count_if(user_id IN ({listed})), count(*), "
        f"list(DISTINCT user_id) FILTER (WHERE user_id IN ({listed})) FROM loaded_interactions",
    )
    absent = [user for user in excluded if user not in (present or ())]
    n_left_out = len(excluded) - len(absent)
    message = f"{n_left_out} users left out, with {n_events:,} of {total:,} interactions"
    yield Finding("ok", "exclude_users", message)
    if absent:
        message = f"{len(absent)} of {len(excluded)} never occur: {_some(absent)}"
        remedy = "Correct their spelling in users.exclude_users or take them out."
        yield Finding("warning", "exclude_users", message, remedy)


def joins_findings(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Whether interactions and projects speak of the same ids."""
    n, matched, n_projects, n_used = _row(
        con,
        "FROM (SELECT count(*), count_if(project_id IN (SELECT project_id FROM loaded_projects)) "
        "FROM loaded_interactions), (SELECT count(*), count_if(project_id IN "
        "(SELECT project_id FROM loaded_interactions)) FROM loaded_projects)",
    )
    message = (
        f"{matched:,} of {n:,} interactions ({matched / n:.1%}) are with a project of [projects]; "
        f"{n_used:,} of {n_projects:,} projects ({n_used / n_projects:.1%}) have an interaction"
    )
    if matched == n and n_used:
        yield Finding("ok", "joins", message)
        return
    examples = con.execute(
        "SELECT DISTINCT project_id FROM loaded_interactions WHERE project_id NOT IN "
        "(SELECT project_id FROM loaded_projects) ORDER BY project_id LIMIT 3"
    ).fetchall()
    level: Literal["warning", "error"] = "warning" if matched else "error"
    remedy = (
        f"Without a match in [projects]: {_some([row[0] for row in examples])}. They still shape "
        f"the factors but have no cover; if they should match, correct project_id in one table."
    )
    yield Finding(level, "joins", message, remedy)
    for form, sql in _PROJECT_ID_FORMS.items():
        yield from _would_match(con, form, sql)


def _would_match(con: duckdb.DuckDBPyConnection, form: str, sql: str) -> Iterator[Finding]:
    """Whether ids that do not match would, if they were written alike."""
    (n_more,) = _row(
        con,
        f"SELECT count(DISTINCT project_id) FROM loaded_interactions "
        f"WHERE project_id NOT IN (SELECT project_id FROM loaded_projects) "
        f"AND {sql} IN (SELECT {sql} FROM loaded_projects)",
    )
    if n_more:
        yield Finding(
            "warning",
            "ids",
            f"{n_more:,} project ids of the interactions would match one of [projects], {form}",
            "Ids are compared as text. Export them alike, or convert by an expression, such as "
            "project_id = \"lpad(project_id, 8, '0')\".",
        )


def owners_findings(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> Iterator[Finding]:
    """Whether owners can be recognised among the users."""
    before, _, after = dataset.users.owner_user.partition("{owner}")
    n, n_users = _row(
        con,
        f"SELECT count(*), count_if({literal(before)} || owner || {literal(after)} IN "
        f"(SELECT user_id FROM loaded_interactions)) FROM "
        f"(SELECT DISTINCT unnest(owners) AS owner FROM loaded_projects)",
    )
    if not n:
        return
    message = f"{n_users:,} of {n:,} owners occur as users, written {dataset.users.owner_user!r}"
    remedy = (
        "Owners' own events cannot be left out of the truth: set users.owner_user to how an "
        "owner's user_id is written, unless owners are no users."
    )
    yield _looked_at("owner_user", message, n_users > 0, remedy)


def boards_findings(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> Iterator[Finding]:
    """Whether users are boards, where they are said to be."""
    if dataset.users.board_user is None:
        return
    are_boards = written_as("user_id", dataset.users.board_user, "{board}")
    (n,) = _row(con, f"SELECT count(DISTINCT user_id) FROM loaded_interactions WHERE {are_boards}")
    message = f"{n:,} users are boards, written {dataset.users.board_user!r}"
    remedy = "Set users.board_user to how a board's user_id is written, or leave it out."
    yield _looked_at("board_user", message, n > 0, remedy)


def groups_findings(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """By what projects will be held out."""
    n, with_group, with_owner = _row(
        con, "SELECT count(*), count(split_group), count(owners) FROM loaded_projects"
    )
    named = "split_group" if with_group else "owners"
    message = f"held out by {named}, known of {with_group or with_owner:,} of {n:,} projects"
    if not (with_group or with_owner):
        message = "neither owners nor split_group are known: every project is held out by itself"
    remedy = "Name projects.columns.owners, or split_group where projects of one origin look alike."
    yield _looked_at("split", message, bool(with_group or with_owner), remedy)


def features_findings(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> Iterator[Finding]:
    """Whether vectors from outside are of the projects."""
    rows = con.execute("SELECT project_id FROM loaded_projects").fetchall()
    projects = {id_ for (id_,) in rows}
    for features in dataset.features:
        ids: set[str] = set()
        n = 0
        try:
            for file in feature_files(dataset, features):
                for batch in batches(dataset, features, file):
                    ids.update(batch.ids)
                    n += len(batch.ids)
        except (ConfigError, DataError) as error:
            yield Finding("error", "features", str(error), "See [[features]] in dataset.toml.")
            continue
        n_with = len(ids & projects)
        message = (
            f"{features.name}: {n:,} vectors; {n_with:,} of {len(projects):,} projects have one"
        )
        if not n_with:
            examples = _some(sorted(ids)[:3])
            remedy = f"Ids are compared as text, vectors have such as {examples}."
            yield Finding("error", "features", message, remedy)
        else:
            remedy = "Projects without a vector are not compared, and are counted."
            yield _looked_at("features", message, n_with == len(projects), remedy)


def covers_findings(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> Iterator[Finding]:
    """Whether covers lie where they should, if there are any."""
    if dataset.covers is None:
        yield Finding("ok", "covers", "none: vectors of [[features]] take their place")
        return
    rows = con.execute("SELECT cover FROM loaded_projects ORDER BY cover").fetchall()
    named = [cover for (cover,) in rows if cover is not None]
    looked_for = named[:: max(1, -(-len(named) // MAX_COVERS_LOOKED_FOR))]
    try:
        paths = cover_paths(dataset, looked_for)
    except (ConfigError, DataError) as error:
        yield Finding("error", "covers", str(error), "See [covers] in dataset.toml.")
        return
    missing = [cover for cover, path in zip(looked_for, paths, strict=True) if not path.is_file()]
    n_there = len(looked_for) - len(missing)
    message = f"{n_there:,} of {len(looked_for):,} covers looked for are there"
    if len(named) < len(rows):
        message += f"; {len(rows) - len(named):,} of {len(rows):,} projects name none"
    if not n_there:
        remedy = f"Not there: {_some(missing)}. Correct projects.columns.cover or covers.folder."
        yield Finding("error", "covers", message, remedy)
    else:
        remedy = "Projects without a cover take part in the factors, but are never held out."
        yield _looked_at("covers", message, not missing and len(named) == len(rows), remedy)


def _looked_at(subject: str, message: str, is_sound: bool, remedy: str) -> Finding:
    """What was found is as it should be, or a warning that says what to do."""
    return (
        Finding("ok", subject, message)
        if is_sound
        else Finding("warning", subject, message, remedy)
    )


def _row(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    [row] = con.execute(sql).fetchall()
    return row


def _some(texts: list[str]) -> str:
    shown = ", ".join(repr(text) for text in texts[:3])
    return shown + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")
