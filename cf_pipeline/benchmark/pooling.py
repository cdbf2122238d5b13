"""Folds pooled into one table: every hashed project queried once, differences over all of them.

In each of K homes another fold is test. A value is the mean over the queries of all folds; a
difference is paired query by query within its fold, where both sides were ranked among the same
candidates; its interval comes from a bootstrap over groups across folds. What a fold chose on its
own validation is pooled as the feature set `chosen`, since that is what a run would have given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from cf_pipeline.benchmark.feature_sets import (
    IMAGENET,
    IMAGENET_LEVELS_RIDGE,
    IMAGENET_RIDGE,
    ordered,
)
from cf_pipeline.benchmark.truth import require_columns
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.intervals import paired_group_bootstrap

CHOSEN = "chosen"
REFERENCES = (IMAGENET, IMAGENET_RIDGE, IMAGENET_LEVELS_RIDGE)
POOLED_SCHEMA = {
    "feature_set": pl.String,
    "measure": pl.String,
    "value": pl.Float64,
    "reference": pl.String,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n_queries": pl.Int64,
    "n_groups": pl.Int64,
    "chosen": pl.Boolean,
}
_QUERY = ("fold", "project_id", "bootstrap_group")


def pooled_table(
    queries: pl.DataFrame, chosen: pl.DataFrame, *, n_resamples: int, seed: int
) -> pl.DataFrame:
    """One row per feature set, measure and reference.

    Args:
        queries: `fold, feature_set, measure, project_id, bootstrap_group, value`, rows of
            `similarity_queries` of split test with a name for the fold they are of.
        chosen: `fold, feature_set`, the layer that each fold chose on its validation.
        n_resamples: bootstrap resamples.
        seed: of the draws, the same for every row.

    Returns:
        Rows of POOLED_SCHEMA by name of the measure, then in the order of the scoreboard, `chosen`
        last. Value and difference are over the queries that both sides have; `low` and `high` are
        the ends of the difference's 95 % interval, null with fewer than two groups.

    Raises:
        DataError: a column is missing, a project was queried in two folds, or a fold lacks its
            chosen layer or a reference.
    """
    require_columns(queries, (*_QUERY, "feature_set", "measure", "value"), "similarity_queries")
    require_columns(chosen, ("fold", "feature_set"), "the chosen layers")
    _check(queries, chosen)
    as_chosen = queries.join(chosen, on=["fold", "feature_set"]).with_columns(
        feature_set=pl.lit(CHOSEN)
    )
    every = pl.concat([queries.select(as_chosen.columns), as_chosen])
    rows = [
        {"measure": measure, **row}
        for measure in every["measure"].unique().sort()
        for row in _pairs(every.filter(measure=measure), n_resamples, seed)
    ]
    return pl.DataFrame(rows, schema=POOLED_SCHEMA).with_columns(pl.col(pl.Float64).fill_nan(None))


def _pairs(of_measure: pl.DataFrame, n_resamples: int, seed: int) -> Iterator[dict[str, Any]]:
    """Every feature set against every reference, by one measure."""
    table = of_measure.pivot(on="feature_set", index=_QUERY, values="value").sort(_QUERY)
    # Groups are numbered home by home. None is in two folds: what belongs together moves together.
    groups = (
        table
        .select(pl.struct("fold", "bootstrap_group").rank("dense"))
        .to_series()
        .to_numpy()
        .astype(np.int64)
    )
    sets = table.drop(_QUERY).fill_null(np.nan)
    for name in (*ordered([name for name in sets.columns if name != CHOSEN]), CHOSEN):
        for reference in REFERENCES:
            if name == reference:
                continue
            ours, theirs = sets[name].to_numpy(), sets[reference].to_numpy()
            difference = paired_group_bootstrap(ours, theirs, groups, n_resamples, seed)
            paired = ~np.isnan(ours - theirs)
            yield {
                "feature_set": name,
                "value": ours[paired].mean() if paired.any() else None,
                "reference": reference,
                "difference": difference.value,
                "low": difference.low,
                "high": difference.high,
                "n_queries": difference.n_queries,
                "n_groups": difference.n_groups,
                "chosen": name == CHOSEN,
            }


def _check(queries: pl.DataFrame, chosen: pl.DataFrame) -> None:
    """Whether folds can be pooled at all.

    Raises:
        DataError: they cannot, and why.
    """
    key = ["feature_set", "measure", "project_id"]
    twice = queries.filter(pl.struct(key).is_duplicated())
    if twice.height:
        raise DataError(
            f"expected every project to be queried in one fold, {twice['project_id'].n_unique()} "
            f"are in several, the first is {twice['project_id'].sort()[0]!r}. Pool homes that "
            "differ in split.fold alone."
        )
    for fold, of_fold in queries.group_by("fold", maintain_order=True):
        layers = chosen.filter(fold=fold[0])["feature_set"].to_list()
        needed = {*layers, *REFERENCES}
        missing = sorted(needed - set(of_fold["feature_set"]))
        if len(layers) != 1 or missing:
            raise DataError(
                f"fold {fold[0]}: expected rows of one chosen layer and of "
                f"{', '.join(REFERENCES)}; chosen are {layers}, {missing} are missing. Materialize "
                "similarity_scores in the home of that fold."
            )
