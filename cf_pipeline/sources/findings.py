"""What the doctor looks at, once a data set's two tables are staged: one function per subject.

Each compares counts that DuckDB makes of the staged tables with what `dataset.toml` says, and
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
from cf_pipeline.sources.expressions import quote_literal
from cf_pipeline.sources.files import cover_paths
from cf_pipeline.sources.reading import INTERACTIONS, PROJECTS

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
    seen = dict(
        con.execute(
            f"SELECT kind, count(*) AS n FROM {INTERACTIONS} GROUP BY kind ORDER BY n DESC"
        ).fetchall()
    )
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
    first, last = _row(con, f"SELECT min(occurred_at), max(occurred_at) FROM {INTERACTIONS}")
    if first is None:
        return
    tomorrow = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    is_odd = first < datetime(1990, 1, 1) or last > tomorrow
    yield Finding(
        "warning" if is_odd else "ok",
        "times",
        f"interactions from {first} to {last} (UTC)",
        "Numbers are read as unix seconds; convert others by an expression." if is_odd else "",
    )


def excluded_users_findings(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> Iterator[Finding]:
    """Whether the users that are left out occur, and what they take with them."""
    excluded = sorted(set(dataset.users.exclude_users))
    if not excluded:
        return
    listed = ", ".join(quote_literal(user) for user in excluded)
    present = {
        user
        for (user,) in con.execute(
            f"SELECT DISTINCT user_id FROM {INTERACTIONS} WHERE user_id IN ({listed})"
        ).fetchall()
    }
    n_events, total = _row(
        con, f"SELECT count_if(user_id IN ({listed})), count(*) FROM {INTERACTIONS}"
    )
    yield Finding(
        "ok",
        "exclude_users",
        f"{len(present)} users left out, with {n_events:,} of {total:,} interactions",
    )
    absent = [user for user in excluded if user not in present]
    if absent:
        yield Finding(
            "warning",
            "exclude_users",
            f"{len(absent)} of {len(excluded)} never occur: {_some(absent)}",
            "Correct their spelling in users.exclude_users or take them out.",
        )


def joins_findings(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Whether interactions and projects speak of the same ids."""
    n, matched = _row(
        con,
        f"SELECT count(*), count_if(project_id IN (SELECT project_id FROM {PROJECTS})) "
        f"FROM {INTERACTIONS}",
    )
    n_projects, n_used = _row(
        con,
        f"SELECT count(*), count_if(project_id IN (SELECT project_id FROM {INTERACTIONS})) "
        f"FROM {PROJECTS}",
    )
    message = (
        f"{matched:,} of {n:,} interactions ({matched / n:.1%}) are with a project of [projects]; "
        f"{n_used:,} of {n_projects:,} projects ({n_used / n_projects:.1%}) have an interaction"
    )
    if matched == n and n_used:
        yield Finding("ok", "joins", message)
        return
    examples = con.execute(
        f"SELECT DISTINCT project_id FROM {INTERACTIONS} WHERE project_id NOT IN "
        f"(SELECT project_id FROM {PROJECTS}) ORDER BY project_id LIMIT 3"
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
        f"SELECT count(DISTINCT project_id) FROM {INTERACTIONS} "
        f"WHERE project_id NOT IN (SELECT project_id FROM {PROJECTS}) "
        f"AND {sql} IN (SELECT {sql} FROM {PROJECTS})",
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
        f"SELECT count(*), count_if({quote_literal(before)} || owner || {quote_literal(after)} IN "
        f"(SELECT user_id FROM {INTERACTIONS})) FROM "
        f"(SELECT DISTINCT unnest(owners) AS owner FROM {PROJECTS})",
    )
    if not n:
        return
    message = f"{n_users:,} of {n:,} owners occur as users, written {dataset.users.owner_user!r}"
    if n_users:
        yield Finding("ok", "owner_user", message)
    else:
        yield Finding(
            "warning",
            "owner_user",
            message,
            "Owners' own events cannot be left out of the truth: set users.owner_user to how an "
            "owner's user_id is written, unless owners are no users.",
        )


def groups_findings(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """By what projects will be held out."""
    n, with_group, with_owner = _row(
        con, f"SELECT count(*), count(split_group), count(owners) FROM {PROJECTS}"
    )
    if with_group or with_owner:
        named = "split_group" if with_group else "owners"
        message = f"held out by {named}, known of {with_group or with_owner:,} of {n:,} projects"
        yield Finding("ok", "split", message)
    else:
        yield Finding(
            "warning",
            "split",
            "neither owners nor split_group are known: every project is held out by itself",
            "Name projects.columns.owners, or split_group where projects of one origin look alike.",
        )


def covers_findings(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> Iterator[Finding]:
    """Whether covers lie where they should."""
    rows = con.execute(f"SELECT cover FROM {PROJECTS} ORDER BY cover").fetchall()
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
    elif missing or len(named) < len(rows):
        remedy = "Projects without a cover take part in the factors, but are never held out."
        yield Finding("warning", "covers", message, remedy)
    else:
        yield Finding("ok", "covers", message)


def _row(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row = con.execute(sql).fetchone()
    assert row is not None
    return row


def _some(texts: list[str]) -> str:
    shown = ", ".join(repr(text) for text in texts[:3])
    return shown + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")
