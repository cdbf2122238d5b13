"""Rows of scores and differences, and what is chosen on validation."""

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.choices import ChoiceMeasures, best_of, choose_layer
from cf_pipeline.benchmark.queries import QueryValues
from cf_pipeline.benchmark.tables import (
    DIFFERENCE_SCHEMA,
    QUERY_SCHEMA,
    SCORE_SCHEMA,
    query_table,
    score_tables,
)
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.intervals import group_bootstrap, paired_group_bootstrap

RNG = np.random.default_rng(0)
GROUPS = RNG.integers(0, 15, 80)
IDS = tuple(f"p{row:02}" for row in range(80))
NAMES = ("chance", "imagenet", "collaborative")
PLAIN = ChoiceMeasures("ndcg_at_10", "triplet_accuracy")


def values_of(**measures: np.ndarray) -> QueryValues:
    return QueryValues("test", IDS, GROUPS, NAMES, measures)


def with_left_out() -> np.ndarray:
    columns = RNG.random((80, 3))
    columns[::4] = np.nan
    return columns


def test_rows_equal_the_intervals_of_single_columns() -> None:
    columns = with_left_out()
    scores, differences = score_tables(
        values_of(ndcg_at_10=columns), chosen="collaborative", n_resamples=300, seed=4
    )
    assert scores.schema == SCORE_SCHEMA
    assert differences.schema == DIFFERENCE_SCHEMA
    for column, name in enumerate(NAMES):
        expected = group_bootstrap(columns[:, column], GROUPS, 300, 4)
        row = scores.row(by_predicate=pl.col("feature_set") == name, named=True)
        for key in ("value", "low", "high", "n_queries", "n_groups"):
            assert row[key] == pytest.approx(getattr(expected, key))
        assert row["chosen"] == (name == "collaborative")
    expected = paired_group_bootstrap(columns[:, 2], columns[:, 1], GROUPS, 300, 4)
    row = differences.row(
        by_predicate=(pl.col("feature_set") == "collaborative")
        & (pl.col("reference") == "imagenet"),
        named=True,
    )
    assert row["difference"] == pytest.approx(expected.value)
    assert (row["low"], row["high"]) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_every_feature_set_meets_every_reference_but_itself() -> None:
    _, differences = score_tables(
        values_of(ndcg_at_10=with_left_out()), chosen="imagenet", n_resamples=100, seed=0
    )
    assert set(differences.select("feature_set", "reference").rows()) == {
        ("imagenet", "chance"),
        ("collaborative", "chance"),
        ("chance", "imagenet"),
        ("collaborative", "imagenet"),
    }


def test_a_set_from_outside_is_a_reference_too() -> None:
    values = QueryValues(
        "test", IDS, GROUPS, ("lab:Gist", "collaborative"), {"m": RNG.random((80, 2))}
    )
    _, differences = score_tables(values, chosen="collaborative", n_resamples=100, seed=0)
    assert differences.select("feature_set", "reference").rows() == [("collaborative", "lab:Gist")]


def test_scores_are_the_means_of_the_queries_that_are_told() -> None:
    columns = with_left_out()
    values = values_of(ndcg_at_10=columns, triplet_accuracy=RNG.random((80, 3)))
    told = query_table(values)
    assert told.schema == QUERY_SCHEMA
    assert told.height == 3 * (60 + 80)
    row = told.row(
        by_predicate=(pl.col("project_id") == "p05")
        & (pl.col("measure") == "ndcg_at_10")
        & (pl.col("feature_set") == "imagenet"),
        named=True,
    )
    assert (row["bootstrap_group"], row["value"]) == (GROUPS[5], columns[5, 1])
    scores, _ = score_tables(values, chosen="imagenet", n_resamples=100, seed=0)
    means = told.group_by("feature_set", "measure").agg(mean=pl.col("value").mean(), n=pl.len())
    both = scores.join(means, on=["feature_set", "measure"])
    assert both["value"].to_list() == pytest.approx(both["mean"].to_list())
    assert both["n_queries"].to_list() == both["n"].to_list()


def test_a_measure_without_queries_is_null_with_zero_queries() -> None:
    scores, differences = score_tables(
        values_of(ndcg_at_10=np.full((80, 3), np.nan)), chosen="imagenet", n_resamples=100, seed=0
    )
    assert scores.select("value", "low", "high", "n_queries").unique().rows() == [
        (None, None, None, 0)
    ]
    assert differences["difference"].null_count() == differences.height == 4


def test_columns_that_left_out_different_queries_are_refused() -> None:
    columns = RNG.random((80, 3))
    columns[0, 1] = np.nan
    with pytest.raises(DataError, match="Leave the same queries out"):
        score_tables(values_of(ndcg_at_10=columns), chosen="chance", n_resamples=100, seed=0)


def layers(ndcg: tuple[float, float], triplets: tuple[float, float]) -> QueryValues:
    measures = {
        "ndcg_at_10": np.array([ndcg, (np.nan, np.nan)]),
        "triplet_accuracy": np.array([triplets, triplets]),
    }
    return QueryValues(
        "validation", ("a", "b"), np.arange(2), ("collaborative", "predicted_factors"), measures
    )


def test_the_layer_with_the_higher_ndcg_is_chosen_whatever_the_triplets_say() -> None:
    assert choose_layer(layers((0.2, 0.3), (0.9, 0.5)), PLAIN) == "predicted_factors"


def test_equal_ndcg_is_decided_by_triplets_and_then_by_order() -> None:
    assert choose_layer(layers((0.3, 0.3), (0.5, 0.6)), PLAIN) == "predicted_factors"
    assert choose_layer(layers((0.3, 0.3), (0.5, 0.5)), PLAIN) == "collaborative"
    names = ("predicted_factors", "collaborative")
    assert best_of(layers((0.3, 0.3), (0.5, 0.5)), names, PLAIN) == "predicted_factors"


def test_nothing_to_choose_by_is_an_error() -> None:
    with pytest.raises(DataError, match=r"Raise split\.validation"):
        choose_layer(layers((np.nan, np.nan), (0.5, 0.5)), PLAIN)
