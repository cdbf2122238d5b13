"""What similarity is judged against, and whose projects belong together.

Truth is raw co-engagement: distinct (user, project) pairs, duplicates of a cover under one id,
without owners' own events. Groups of the bootstrap are provenance: split groups, or projects
linked by shared owners.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from cf_pipeline.errors import DataError
from cf_pipeline.interactions.splitting import components, provenance
from cf_pipeline.metrics.similarity import CoEngagement, co_engagement
from cf_pipeline.vectors import Indices


def truth_events(
    interactions: pl.DataFrame,
    *,
    truth_kinds: Collection[str],
    excluded_users: Collection[str],
    representatives: pl.DataFrame,
    owner_users: pl.DataFrame,
) -> pl.DataFrame:
    """The events that similarity is judged against.

    Args:
        interactions: `user_id, project_id, kind`; further columns are ignored.
        truth_kinds: kinds that count.
        excluded_users: users that do not.
        representatives: `project_id, representative`; a project that is not in it stands for
            itself.
        owner_users: `project_id, user_id`, who owns what, written as users. The owner of any
            duplicate owns the representative.

    Returns:
        Distinct `user_id, project_id` pairs, sorted by both.

    Raises:
        DataError: a column is missing, or no event is left.
    """
    require_columns(interactions, ("user_id", "project_id", "kind"), "interactions")
    require_columns(representatives, ("project_id", "representative"), "representatives")
    require_columns(owner_users, ("project_id", "user_id"), "owner_users")
    kinds = pl.Series(sorted(truth_kinds), dtype=pl.String)
    excluded = pl.Series(sorted(excluded_users), dtype=pl.String)
    pairs = interactions.filter(
        pl.col("kind").is_in(kinds.implode()) & ~pl.col("user_id").is_in(excluded.implode())
    ).select("user_id", "project_id")
    events = (
        _as_representatives(pairs, representatives)
        .unique()
        .join(
            _as_representatives(owner_users, representatives),
            on=["user_id", "project_id"],
            how="anti",
        )
        .sort("user_id", "project_id")
    )
    if events.height == 0:
        raise DataError(
            f"no event is left to judge similarity by: of {interactions.height:,} interactions "
            f"{pairs.height:,} are of the kinds {sorted(truth_kinds)} by users that are not "
            "excluded, and owners' own events do not count. Mark another kind with truth = true "
            "in dataset.toml or shorten exclude_users."
        )
    return events


def united_projects(projects: pl.DataFrame, representatives: pl.DataFrame) -> pl.DataFrame:
    """Projects without exact duplicates, each with the owners of all its duplicates.

    Args:
        projects: `project_id, owners LIST, ...`.
        representatives: `project_id, representative`.

    Returns:
        The rows of representatives, `owners` united and sorted, null where nobody is known.
    """
    named = projects.select("project_id", "owners").join(
        representatives, on="project_id", how="left"
    )
    owners = (
        named
        .with_columns(pl.coalesce("representative", "project_id"))
        .select(pl.col("representative").alias("project_id"), "owners")
        .explode("owners", empty_as_null=True, keep_nulls=True)
        .drop_nulls()
        .group_by("project_id")
        .agg(pl.col("owners").unique().sort())
    )
    duplicates = representatives.filter(pl.col("project_id") != pl.col("representative"))
    return (
        projects
        .drop("owners")
        .join(duplicates, on="project_id", how="anti")
        .join(owners, on="project_id", how="left")
        .sort("project_id")
    )


def bootstrap_groups(projects: pl.DataFrame) -> Indices:
    """The group whose members are not independent of each other, for every project.

    Its split group where one is given, else the connected component of shared owners, else the
    project alone.

    Args:
        projects: `project_id, owners LIST, split_group`.

    Returns:
        Group numbers 0..n_groups - 1, one per row of projects, shape (n_projects,).
    """
    require_columns(projects, ("project_id", "owners", "split_group"), "projects")
    return components(provenance(projects), projects.height)


@dataclass(frozen=True)
class Truth:
    """Co-engagement of every project that has an event.

    Attributes:
        project_ids: sorted.
        engagement: one row per project.
    """

    project_ids: tuple[str, ...]
    engagement: CoEngagement


def build_truth(events: pl.DataFrame) -> Truth:
    """Truth from distinct `user_id, project_id` pairs.

    Raises:
        DataError: no pairs, or a pair occurs twice.
    """
    require_columns(events, ("user_id", "project_id"), "events")
    if events.height == 0:
        raise DataError("expected events to judge similarity by, got none.")
    rows = events["project_id"].rank("dense").to_numpy().astype(np.int64) - 1
    columns = events["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
    pairs = sparse.coo_matrix((np.ones(events.height), (rows, columns)))
    if events.n_unique() != events.height:
        raise DataError(
            f"expected distinct pairs, {events.height - events.n_unique()} are repeated. Pass "
            "what truth_events returns."
        )
    ids = tuple(events["project_id"].unique().sort().to_list())
    return Truth(ids, co_engagement(sparse.csr_matrix(pairs)))


def require_columns(frame: pl.DataFrame, columns: Collection[str], name: str) -> None:
    """Say which columns a table lacks.

    Raises:
        DataError: one is missing.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise DataError(
            f"{name}: expected the columns {list(columns)}, {missing} are missing of "
            f"{frame.columns}. Materialize the asset that makes this table again."
        )


def _as_representatives(pairs: pl.DataFrame, representatives: pl.DataFrame) -> pl.DataFrame:
    """`user_id, project_id` with every project under the id that stands for it."""
    return pairs.join(representatives, on="project_id", how="left").select(
        "user_id", project_id=pl.coalesce("representative", "project_id")
    )
