"""Every score of a model as one long table."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cf_pipeline.benchmark.feature_sets import IMAGENET, ordered
from cf_pipeline.benchmark.report import HEADLINE

SCORES_SCHEMA = {
    "benchmark": pl.String,
    "split": pl.String,
    "measure": pl.String,
    "name": pl.String,
    "chosen": pl.Boolean,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "reference": pl.String,
    "difference": pl.Float64,
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
    "n": pl.Int64,
    "n_groups": pl.Int64,
    **dict.fromkeys(("n_listed", "n_found", "n_used", "n_draws"), pl.Int64),
    "deviation": pl.Float64,
    **dict.fromkeys(("task", "metric", "variant", "split_rule", "note"), pl.String),
}
"""A row a score. The last columns are of labelled tasks; docs/evaluation.md has them all."""
_PAIRED = ("similarity_differences", "benchmark_differences")
BENCHMARKS = {
    "factors": ("factor_scores",),
    "similarity": ("similarity_scores", "similarity_differences"),
    "probe": ("benchmark_scores", "benchmark_differences"),
    "cold_start": ("cold_start_scores",),
}
"""Benchmark to its tables, in the order in which they are told."""


def score_rows(tables: Mapping[str, pl.DataFrame], frozen: str = IMAGENET) -> pl.DataFrame:
    """How factors rank first, then a model's features.

    Args:
        tables: those of BENCHMARKS that there are, each with the rows of one model; a benchmark
            that lacks one is left out.
        frozen: the features that differences are told to.

    Returns:
        Rows of SCORES_SCHEMA; similarity and labelled tasks have differences.
        `n` counts what `value` is a mean over.
    """
    tables = {
        name: table.filter(reference=frozen) if name in _PAIRED else table
        for name, table in tables.items()
    }
    parts = [
        part(tables)
        for benchmark, part in _PARTS.items()
        if all(name in tables for name in BENCHMARKS[benchmark])
    ]
    return pl.concat(parts or [pl.DataFrame(schema=SCORES_SCHEMA)])


def _factors(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    rows = tables["factor_scores"]
    if "protocol" not in rows.columns:  # a home that has not run since there was one way to hide
        rows = rows.with_columns(protocol=pl.lit("hidden_events"))
    of_new_users = pl.col("protocol") == "new_users"
    longer = pl.format("{} of new users", "metric")
    rows = rows.with_columns(measure=pl.when(of_new_users).then(longer).otherwise("metric"))
    order = (of_new_users, pl.col("metric") != "recall_at_20", pl.col("model"))
    return _filled(rows.sort(*order, maintain_order=True), "factors", name="model", n="n_users")


def _similarity(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    keys = ("split", "feature_set", "measure")
    rows = _with_differences(tables["similarity_scores"], tables["similarity_differences"], keys)
    return _filled(_in_order(rows), "similarity", name="feature_set", n="n_queries")


def _probe(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    keys = ("task", "feature_set", "metric")
    rows = _with_differences(tables["benchmark_scores"], tables["benchmark_differences"], keys)
    named = rows.with_columns(measure=pl.format("{}, {}", "task", "metric"))
    return _filled(_in_order(named), "probe", name="feature_set", n="n_test")


def _cold_start(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    named = tables["cold_start_scores"].with_columns(measure="metric")
    return _filled(_in_order(named), "cold_start", name="feature_set", n="n_users")


def _with_differences(
    rows: pl.DataFrame, apart: pl.DataFrame, keys: tuple[str, ...]
) -> pl.DataFrame:
    named = apart.select(
        *keys, "reference", "difference", difference_low="low", difference_high="high"
    )
    return rows.join(named, on=keys, how="left")


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Validation before test, headline measures first, feature sets as the scoreboard has them."""
    measures = rows["measure"].unique().to_list()
    first = [m for m in HEADLINE if m in measures]
    measures = first + sorted(set(measures) - set(first))
    names = ordered(rows["feature_set"].unique().to_list())
    keys = [pl.col("measure").cast(pl.Enum(measures)), pl.col("feature_set").cast(pl.Enum(names))]
    split = [pl.col("split") != "validation"] if "split" in rows.columns else []
    return rows.sort(*split, *keys)


def _filled(rows: pl.DataFrame, benchmark: str, **given: str) -> pl.DataFrame:
    """Rows of SCORES_SCHEMA; columns that a benchmark does not know are null."""
    named = rows.with_columns(**{column: pl.col(source) for column, source in given.items()})
    there = {*named.columns}
    return named.select(
        pl.lit(benchmark).alias("benchmark"),
        *(
            (pl.col(column) if column in there else pl.lit(None)).cast(kind).alias(column)
            for column, kind in SCORES_SCHEMA.items()
            if column != "benchmark"
        ),
    )


_PARTS = {
    "factors": _factors,
    "similarity": _similarity,
    "probe": _probe,
    "cold_start": _cold_start,
}
