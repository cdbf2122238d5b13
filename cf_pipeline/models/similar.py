"""Rows of `similar_projects`: the nearest projects of each."""

from __future__ import annotations

import polars as pl

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, IMAGENET, LATENT_FACTORS
from cf_pipeline.models.spaces import space_of
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.retrieval.exact import ExactSearch

KEPT_SPACES = (LATENT_FACTORS, COLLABORATIVE, IMAGENET)
"""Whose neighbours the table holds; the others are searched when somebody asks."""
N_NEIGHBOURS = 10


def neighbours_in(stage: Stage, space: str, model: str) -> pl.DataFrame:
    """The nearest of every project in a space: `feature_set` and columns of NEIGHBOURS_SCHEMA.

    Args:
        stage: declares to read `benchmark.imagenet_form`.
        space: one of KEPT_SPACES.
        model: a model version, of `collaborative`.
    """
    form = stage.configuration.benchmark.imagenet_form
    search = ExactSearch.of(space_of(stage.warehouse, space, model, form).places())
    stage.log.info(f"{space}: {len(search.ids):,} projects")
    table = search.neighbours(N_NEIGHBOURS, stage.progress("projects"))
    return table.select(pl.lit(space).alias("feature_set"), pl.all())
