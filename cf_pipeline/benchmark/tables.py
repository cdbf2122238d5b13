"""Values, scores and paired differences as rows, with intervals over groups of queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from cf_pipeline.benchmark.feature_sets import feature_set
from cf_pipeline.benchmark.queries import QueryValues
from cf_pipeline.metrics.intervals import percentiles, resampled_means
from cf_pipeline.metrics.ranking import Floats

SCORE_SCHEMA = {
    "split": pl.String,
    "feature_set": pl.String,
    "measure": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n_queries": pl.Int64,
    "n_groups": pl.Int64,
    "chosen": pl.Boolean,
}
DIFFERENCE_SCHEMA = {
    "split": pl.String,
    "feature_set": pl.String,
    "reference": pl.String,
    "measure": pl.String,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
QUERY_SCHEMA = {
    "split": pl.String,
    "feature_set": pl.String,
    "measure": pl.String,
    "project_id": pl.String,
    "bootstrap_group": pl.Int64,
    "value": pl.Float64,
}


def query_table(values: QueryValues) -> pl.DataFrame:
    """Rows of QUERY_SCHEMA: every query that counts, by feature set and measure."""
    queries = pl.DataFrame({
        "project_id": pl.Series(values.project_ids, dtype=pl.String),
        "bootstrap_group": values.groups,
    })
    blocks = [
        queries.with_columns(
            value=columns[:, column],
            split=pl.lit(values.split),
            feature_set=pl.lit(name),
            measure=pl.lit(measure),
        )
        for measure, columns in values.values.items()
        for column, name in enumerate(values.feature_sets)
    ]
    return pl.concat(blocks).filter(pl.col("value").is_not_nan()).select(*QUERY_SCHEMA)


def score_tables(
    values: QueryValues, *, chosen: str, n_resamples: int, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both tables from one set of bootstrap draws per measure.

    Args:
        values: query by query.
        chosen: the feature set whose rows are marked.
        n_resamples: bootstrap resamples.
        seed: of the draws.

    Returns:
        Rows of SCORE_SCHEMA for every feature set and measure, and of DIFFERENCE_SCHEMA for every
        feature set against every other that is a reference. A measure that no query can answer
        has null for its figures and 0 queries; with fewer than two groups the bounds are null.
    """
    scores: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    for measure, columns in values.values.items():
        defined = ~np.isnan(columns).all(axis=1)
        kept, groups = columns[defined], values.groups[defined]
        resampled = resampled_means(kept, groups, n_resamples, seed)
        means = kept.mean(axis=0) if len(kept) else np.full(columns.shape[1], np.nan)
        sizes = {"n_queries": len(kept), "n_groups": len(np.unique(groups))}
        shared = {"split": values.split, "measure": measure}
        for row in _with_bounds(values.feature_sets, means, resampled, "value"):
            scores.append({**shared, **row, **sizes, "chosen": row["feature_set"] == chosen})
        for other, reference in enumerate(values.feature_sets):
            if not feature_set(reference).is_reference:
                continue
            rows = _with_bounds(
                values.feature_sets,
                means - means[other],
                resampled - resampled[:, other, np.newaxis],
                "difference",
            )
            differences += [
                {**shared, **row, "reference": reference}
                for row in rows
                if row["feature_set"] != reference
            ]
    return _frame(scores, SCORE_SCHEMA), _frame(differences, DIFFERENCE_SCHEMA)


def _with_bounds(
    names: tuple[str, ...], means: Floats, resampled: Floats, figure: str
) -> list[dict[str, Any]]:
    low, high = percentiles(resampled)
    return [
        {"feature_set": name, figure: float(mean), "low": float(below), "high": float(above)}
        for name, mean, below, above in zip(names, means, low, high, strict=True)
    ]


def _frame(rows: list[dict[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema).with_columns(pl.col(pl.Float64).fill_nan(None))
