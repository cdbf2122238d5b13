"""Group bootstrap: coverage, pairing, and what it does with queries that are left out."""

import numpy as np
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.metrics.intervals import (
    group_bootstrap,
    mean_class_accuracy_bootstrap,
    paired_group_bootstrap,
    resampled_means,
)


def slow_bootstrap(values: np.ndarray, groups: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Resampled means by concatenating the queries of the groups drawn."""
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    means = []
    for _ in range(n):
        drawn = names[rng.integers(0, len(names), len(names))]
        means.append(np.concatenate([values[groups == name] for name in drawn]).mean())
    return np.array(means)


def test_resamples_equal_the_slow_twin() -> None:
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=50), rng.integers(0, 12, 50)
    fast = resampled_means(values[:, np.newaxis], groups, 100, seed=5)[:, 0]
    assert fast == pytest.approx(slow_bootstrap(values, groups, 100, seed=5))


def test_value_counts_and_left_out_queries() -> None:
    values = np.array([1.0, np.nan, 3.0, 5.0])
    interval = group_bootstrap(values, np.array([0, 1, 2, 2]), 200, 0)
    assert interval.value == 3.0
    assert (interval.n_queries, interval.n_groups) == (3, 2)
    # Two groups, one of [1], one of [3, 5]: a resample is 1, 3 or 4.
    assert (interval.low, interval.high) == (1.0, 4.0)


def test_without_queries_or_with_one_group_there_is_no_interval() -> None:
    nothing = group_bootstrap(np.array([np.nan]), np.array([0]), 100, 0)
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()
    assert (nothing.n_queries, nothing.n_groups) == (0, 0)
    one = group_bootstrap(np.array([1.0, 2.0]), np.array([4, 4]), 100, 0)
    assert one.value == 1.5
    assert np.isnan([one.low, one.high]).all()


def test_95_percent_intervals_cover_and_query_intervals_do_not() -> None:
    # Truth 0; 40 groups of 10 queries share a group effect, so queries are not independent.
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 10)
    covered = {"groups": 0, "queries": 0}
    for trial in range(200):
        values = rng.normal(size=40)[groups] + 0.5 * rng.normal(size=400)
        for name, unit in (("groups", groups), ("queries", np.arange(400))):
            interval = group_bootstrap(values, unit, 200, trial)
            covered[name] += interval.low <= 0 <= interval.high
    # 190 of 200 expected, deviation 3.1; the bootstrap of 40 groups is a little narrow.
    assert 175 <= covered["groups"] <= 200
    # Their deviation is about a third of what it should be: coverage near 0.5.
    assert covered["queries"] < 130


def test_the_level_says_how_much_an_interval_holds() -> None:
    rng = np.random.default_rng(3)
    values, groups = rng.normal(size=400), np.arange(400) // 4
    resampled = slow_bootstrap(values, groups, 400, 0)
    for level in (0.8, 0.95, 0.975):
        interval = group_bootstrap(values, groups, 400, 0, level)
        expected = np.percentile(resampled, [50 - 50 * level, 50 + 50 * level])
        assert (interval.low, interval.high) == pytest.approx(tuple(expected))
    assert group_bootstrap(values, groups, 400, 0) == group_bootstrap(values, groups, 400, 0, 0.95)


def test_paired_intervals_cancel_what_both_share() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(30), 5)
    shared = 10 * rng.normal(size=30)[groups]
    a = shared + 0.1 + 0.01 * rng.normal(size=150)
    b = shared + 0.01 * rng.normal(size=150)
    paired = paired_group_bootstrap(a, b, groups, 500, 0)
    assert 0.09 < paired.low < 0.1 < paired.high < 0.11
    assert group_bootstrap(a, groups, 500, 0).high - group_bootstrap(a, groups, 500, 0).low > 1


def test_a_paired_difference_uses_the_draws_of_both_sides() -> None:
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 9, 60)
    a, b = rng.normal(size=60), rng.normal(size=60)
    both = resampled_means(np.column_stack([a, b]), groups, 300, seed=1)
    low, high = np.percentile(both[:, 0] - both[:, 1], [2.5, 97.5])
    paired = paired_group_bootstrap(a, b, groups, 300, 1)
    assert (paired.low, paired.high) == (pytest.approx(low), pytest.approx(high))


def test_pairs_need_both_sides() -> None:
    a, b = np.array([1.0, 2.0, np.nan, 4.0]), np.array([0.0, np.nan, 3.0, 1.0])
    paired = paired_group_bootstrap(a, b, np.arange(4), 100, 0)
    assert paired.value == 2.0  # (1 - 0 + 4 - 1) / 2
    assert paired.n_queries == 2


def test_columns_that_leave_out_different_queries_are_refused() -> None:
    values = np.array([[1.0, np.nan], [2.0, 2.0]])
    with pytest.raises(DataError, match="1 of 2 queries lack one"):
        resampled_means(values, np.arange(2), 100, 0)


def test_the_same_seed_gives_the_same_interval_and_another_does_not() -> None:
    values = np.random.default_rng(0).normal(size=30)
    first = group_bootstrap(values, np.arange(30), 200, 7)
    assert group_bootstrap(values, np.arange(30), 200, 7) == first
    assert group_bootstrap(values, np.arange(30), 200, 8) != first


def test_many_groups_are_drawn_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    values, groups = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40)
    whole = resampled_means(values, groups, 100, 3)
    monkeypatch.setattr("cf_pipeline.metrics.intervals._CHUNK_CELLS", 40 * 7)
    assert resampled_means(values, groups, 100, 3) == pytest.approx(whole)


def test_mean_class_accuracy_interval() -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    is_correct = rng.random(100) < np.array([0.9, 0.5, 0.3])[labels]
    interval, _ = mean_class_accuracy_bootstrap(is_correct, labels, np.arange(100), 2000, 0)
    by_class = [is_correct[labels == c].mean() for c in range(3)]
    assert interval.value == pytest.approx(np.mean(by_class))
    # Standard error of a mean of three proportions: sqrt(sum p (1 - p) / n) / 3.
    error = np.sqrt(sum(p * (1 - p) / n for p, n in zip(by_class, (60, 30, 10), strict=True))) / 3
    assert (interval.high - interval.low) == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert interval.low < interval.value < interval.high
