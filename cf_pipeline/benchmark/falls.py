"""Whether scores fell from the last model to this one by more than chance would have it."""

from __future__ import annotations

import polars as pl

from cf_pipeline.benchmark.primary import is_primary
from cf_pipeline.benchmark.report import HEADLINE
from cf_pipeline.verdict import Verdict, check

_OF_MODELS = """
    select s.*, t.trained_at, s.model_version = $scope as is_new
    from {table} s join trained_cnn t using (model_version)
    where t.trained_at <= (select trained_at from trained_cnn where model_version = $scope)
"""


@check(blocking=False, scores=_OF_MODELS.format(table="benchmark_scores"))
def task_scores_did_not_fall(scores: pl.DataFrame) -> Verdict:
    """No feature set does worse on a labelled task than with the model before.

    Worse is a primary score below the interval that it had. A task of which other images are used
    is another task.

    Args:
        scores: rows of `benchmark_scores` of all models up to the new one, with `trained_at` and
            `is_new`.
    """
    told = scores.filter(is_primary("model_version")).with_columns(
        measure=pl.format("{}, {}", "task", "metric")
    )
    return _verdict(told, ("measure", "feature_set", "n_used", "n_test"))


@check(blocking=False, scores=_OF_MODELS.format(table="similarity_scores"))
def similarity_did_not_fall(scores: pl.DataFrame) -> Verdict:
    """The chosen layer finds shared audiences as well as that of the model before.

    Worse is a headline measure on test below the interval that it had.

    Args:
        scores: rows of `similarity_scores` of all models up to the new one, with `trained_at` and
            `is_new`.
    """
    told = scores.filter(pl.col("chosen"), pl.col("measure").is_in(HEADLINE), split="test")
    return _verdict(told, ("measure",))


def _verdict(scores: pl.DataFrame, keys: tuple[str, ...]) -> Verdict:
    """New values against the intervals of the newest model before."""
    before = scores.filter(~pl.col("is_new"))
    last = before.filter(pl.col("trained_at") == pl.col("trained_at").max())
    pairs = scores.filter("is_new").join(last, on=keys, suffix="_before", nulls_equal=True)
    fell = pairs.filter(pl.col("value") < pl.col("low_before")).sort("measure", "feature_set")
    facts: dict[str, float | int | str] = {"n_compared": pairs.height, "n_fell": fell.height}
    if pairs.is_empty():
        return Verdict(True, "No model before this one was scored on the same.", facts)
    model = pairs["model_version_before"][0]
    if fell.is_empty():
        return Verdict(True, f"No score fell below its interval with model {model}.", facts)
    said = "; ".join(
        f"{row['feature_set']} {row['measure']} {row['value']:.3f} after "
        f"{row['value_before']:.3f} [{row['low_before']:.3f}, {row['high_before']:.3f}]"
        for row in fell.iter_rows(named=True)
    )
    return Verdict(
        False,
        f"Scores are expected within or above their intervals with model {model}, {fell.height} "
        f"of {pairs.height} fell: {said}. cf-pipeline scores --history shows all models, "
        "cf-pipeline models what differs between them.",
        facts,
    )
