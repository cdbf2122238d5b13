"""Cutting off the least and the most popular users and projects, as the talk does.

Set operations, so SQL over an open DuckDB connection: nothing is held in Python but counts. The
upper cut looks at raw degrees once; the lower cut alternates between users and projects until
nothing falls any more, so that every survivor has the degree that was asked for. Exact duplicates
of a cover are one project here: their interactions are united under the smallest project id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.interactions.config import PruningConfig


@dataclass(frozen=True)
class PruningRound:
    """What one cut removed and what it left."""

    cut: str
    users_removed: int
    projects_removed: int
    users_left: int
    projects_left: int
    pairs_left: int


@dataclass(frozen=True)
class PruningReport:
    """What pruning found, cut and kept; shares and densities are fractions, computed."""

    rounds: tuple[PruningRound, ...]
    pairs_before: int
    users_before: int
    projects_before: int
    pairs: int
    users: int
    projects: int
    degrees: Mapping[str, npt.NDArray[np.int64]]
    """`user_before`, `user_after`, `project_before`, `project_after`, one int64 per survivor."""

    @property
    def density_before(self) -> float:
        """Pairs divided by users times projects, before any cut."""
        return self.pairs_before / (self.users_before * self.projects_before)

    @property
    def density(self) -> float:
        """Pairs divided by users times projects, after both cuts."""
        return self.pairs / (self.users * self.projects)


def representatives(covers: pl.DataFrame) -> pl.DataFrame:
    """The project that stands for each project: the smallest id with the same cover bytes.

    Args:
        covers: `project_id, sha256`; a project without a hash stands for itself.

    Returns:
        `project_id, representative`, one row per row of covers.
    """
    return covers.select(
        "project_id",
        pl
        .when(pl.col("sha256").is_null())
        .then(pl.col("project_id"))
        .otherwise(pl.col("project_id").min().over("sha256"))
        .alias("representative"),
    )


def prune(con: duckdb.DuckDBPyConnection, config: PruningConfig) -> PruningReport:
    """Prune the temporary table `kept_pairs(user_id, project_id, confidence)`, as `weigh` left it.

    Args:
        con: the connection that has it.
        config: thresholds.

    Raises:
        DataError: the cuts leave nothing.
    """
    pairs, users, projects = _sizes(con)
    degrees = {f"{side}_before": _degrees(con, side) for side in ("user", "project")}
    rounds = [_upper_cut(con, config, users, projects), *_lower_cuts(con, config)]
    kept_pairs, kept_users, kept_projects = _sizes(con)
    if kept_pairs == 0:
        raise DataError(_nothing_left(config, rounds, pairs, users, projects))
    degrees |= {f"{side}_after": _degrees(con, side) for side in ("user", "project")}
    return PruningReport(
        tuple(rounds),
        pairs,
        users,
        projects,
        kept_pairs,
        kept_users,
        kept_projects,
        degrees,
    )


def summarize(report: PruningReport) -> dict[str, float | str]:
    """Figures of a pruning: counts, shares kept (0 to 1), densities (0 to 1), and its rounds."""
    lines = [
        f"| {r.cut} | {r.users_removed:,} | {r.projects_removed:,} | {r.users_left:,} "
        f"| {r.projects_left:,} | {r.pairs_left:,} |"
        for r in report.rounds
    ]
    header = "| cut | users cut | projects cut | users left | projects left | pairs left |"
    return {
        "users": report.users,
        "projects": report.projects,
        "pairs": report.pairs,
        "users_kept_share": report.users / report.users_before,
        "projects_kept_share": report.projects / report.projects_before,
        "pairs_kept_share": report.pairs / report.pairs_before,
        "density_before": report.density_before,
        "density": report.density,
        "rounds": "\n".join([header, "|---|---|---|---|---|---|", *lines]),
    }


def _upper_cut(
    con: duckdb.DuckDBPyConnection, config: PruningConfig, users: int, projects: int
) -> PruningRound:
    user_limit = config.max_user_share * projects
    project_limit = config.max_project_share * users
    con.execute(
        """
        create or replace temp table popular as
        select 'user' as side, user_id as id from kept_pairs group by all having count(*) > ?
        union all
        select 'project', project_id from kept_pairs group by all having count(*) > ?
        """,
        [user_limit, project_limit],
    )
    removed = dict(con.execute("select side, count(*) from popular group by all").fetchall())
    con.execute(
        """
        delete from kept_pairs
        where user_id in (select id from popular where side = 'user')
           or project_id in (select id from popular where side = 'project')
        """
    )
    label = f"upper: users over {user_limit:.0f} projects, projects over {project_limit:.0f} users"
    pairs_left, users_left, projects_left = _sizes(con)
    return PruningRound(
        label,
        removed.get("user", 0),
        removed.get("project", 0),
        users_left,
        projects_left,
        pairs_left,
    )


def _lower_cuts(con: duckdb.DuckDBPyConnection, config: PruningConfig) -> list[PruningRound]:
    rounds: list[PruningRound] = []
    while True:
        _, users_before, projects_before = _sizes(con)
        # Users first, then projects: the fixed point is the same in either order, since the
        # largest sub-matrix with these minimum degrees is unique.
        for column, minimum in (
            ("user_id", config.min_user_degree),
            ("project_id", config.min_project_degree),
        ):
            con.execute(
                f"""
                delete from kept_pairs where {column} in
                (select {column} from kept_pairs group by all having count(*) < ?)
                """,
                [minimum],
            )
        pairs_left, users_left, projects_left = _sizes(con)
        if (users_left, projects_left) == (users_before, projects_before):
            return rounds
        rounds.append(
            PruningRound(
                f"lower: users under {config.min_user_degree} projects, projects under "
                f"{config.min_project_degree} users",
                users_before - users_left,
                projects_before - projects_left,
                users_left,
                projects_left,
                pairs_left,
            )
        )


def _sizes(con: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    row: Any = con.execute(
        "select count(*), count(distinct user_id), count(distinct project_id) from kept_pairs"
    ).fetchone()
    return int(row[0]), int(row[1]), int(row[2])


def _degrees(con: duckdb.DuckDBPyConnection, side: str) -> npt.NDArray[np.int64]:
    counts = con.execute(
        f"select count(*) as degree from kept_pairs group by {side}_id order by degree"
    ).fetchnumpy()["degree"]
    return np.asarray(counts, dtype=np.int64)


def _nothing_left(
    config: PruningConfig, rounds: Sequence[PruningRound], pairs: int, users: int, projects: int
) -> str:
    last = next((r for r in rounds if r.pairs_left == 0), rounds[-1])
    return (
        f"pruned_matrix has nothing left of {pairs:,} pairs ({users:,} users, {projects:,} "
        f"projects): the cut '{last.cut}' removed the rest. Lower pruning.min_user_degree "
        f"({config.min_user_degree}) or pruning.min_project_degree "
        f"({config.min_project_degree}), or raise pruning.max_user_share "
        f"({config.max_user_share}) or pruning.max_project_share ({config.max_project_share})."
    )
