"""The tables that a pool and its truth are built from, whoever is scored on it.

The scoreboard and the comparison of models differ in the vectors that they bring, never in who is
judged or by what: both go through here.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from cf_pipeline.benchmark.pool import build_catalog
from cf_pipeline.benchmark.truth import united_projects
from cf_pipeline.errors import DataError
from cf_pipeline.vectors import IndexedVectors


@dataclass(frozen=True, kw_only=True)
class PoolInputs:
    """What decides who is judged, and by what.

    Attributes:
        events: `user_id, project_id`, what truth_events returns.
        projects: `project_id, owners, split_group, stratum, field`, duplicates included.
        covers: `project_id, status, look_group, look_component`.
        splits: `project_id, split`.
        representatives: `project_id, representative` of exact duplicates.
        factors: latent factors of projects, of train and folded in.
        min_degree: events a project needs to be in a pool.
    """

    events: pl.DataFrame
    projects: pl.DataFrame
    covers: pl.DataFrame
    splits: pl.DataFrame
    representatives: pl.DataFrame
    factors: IndexedVectors
    min_degree: int = 1

    def catalog(self) -> pl.DataFrame:
        """Everything the pools ask of a project, see build_catalog."""
        united = united_projects(self.projects, self.representatives)
        return build_catalog(united, self.covers, self.splits, self.factors.ids)


def train_ids(catalog: pl.DataFrame) -> tuple[str, ...]:
    """Train projects with factors and a readable cover: what the network learned from, too.

    Raises:
        DataError: there are none.
    """
    rows = catalog.filter((pl.col("split") == "train") & pl.col("readable") & pl.col("has_factors"))
    if rows.height == 0:
        raise DataError(
            "similarity needs train projects with latent factors and a readable cover to centre "
            "features on, there are none. Materialize project_split and latent_factors."
        )
    return tuple(rows["project_id"].to_list())
