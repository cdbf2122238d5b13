"""Percentile intervals by bootstrap over groups of queries, of 95 % unless said otherwise.

Queries of one group (an artist, a release year) are not independent, so whole groups are drawn
with replacement and the measure is the mean over all queries of the groups drawn. Differences use
the same groups for both sides. Only sums and counts per group are kept, so a resample costs one
row of a matrix product. NaN marks a query that is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cf_pipeline.errors import DataError
from cf_pipeline.metrics.ranking import Flags, Floats
from cf_pipeline.vectors import Indices

_CHUNK_CELLS = 4_000_000
LEVEL = 0.95
"""Share of resamples that an interval holds."""


@dataclass(frozen=True)
class Interval:
    """A value with its interval.

    Attributes:
        value: the measure on all queries; NaN without queries.
        low: its lower end, the 2.5th percentile at 95 %; NaN with fewer than two groups, which
            say nothing about spread.
        high: its upper end, likewise.
        n_queries: queries that entered.
        n_groups: their groups.
    """

    value: float
    low: float
    high: float
    n_queries: int
    n_groups: int


def group_bootstrap(
    values: Floats, groups: Indices, n_resamples: int, seed: int, level: float = LEVEL
) -> Interval:
    """Mean of the values with its interval over groups.

    Args:
        values: shape (n_queries,), NaN where a query is left out.
        groups: group of each query, shape (n_queries,).
        n_resamples: bootstrap resamples.
        seed: the same seed draws the same groups.
        level: share of resamples that the interval holds.
    """
    defined = ~np.isnan(values)
    if not defined.any():
        return Interval(float("nan"), float("nan"), float("nan"), 0, 0)
    resampled = resampled_means(values[defined, np.newaxis], groups[defined], n_resamples, seed)
    low, high = percentiles(resampled, level)
    n_groups = len(np.unique(groups[defined]))
    return Interval(
        float(values[defined].mean()), float(low[0]), float(high[0]), int(defined.sum()), n_groups
    )


def paired_group_bootstrap(
    a: Floats, b: Floats, groups: Indices, n_resamples: int, seed: int, level: float = LEVEL
) -> Interval:
    """Mean of a - b over queries where both are defined, the same groups drawn for both."""
    return group_bootstrap(a - b, groups, n_resamples, seed, level)


def resampled_means(values: Floats, groups: Indices, n_resamples: int, seed: int) -> Floats:
    """Means of every column over the queries of the groups drawn.

    Columns share the draws: the difference of two columns is a paired resample.

    Args:
        values: shape (n_queries, n_columns), without NaN.
        groups: shape (n_queries,).
        n_resamples: rows of the answer.
        seed: of the draws.

    Returns:
        Shape (n_resamples, n_columns); NaN throughout with fewer than two groups.

    Raises:
        DataError: a value is NaN; columns that left out different queries cannot be paired.
    """
    if np.isnan(values).any():
        raise DataError(
            f"expected values for every query, {int(np.isnan(values).any(axis=1).sum())} of "
            f"{len(values)} queries lack one. Leave the same queries out of every column first."
        )
    _, index = np.unique(groups, return_inverse=True)
    counts = np.bincount(index)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, index, values)
    return resampled_sums(sums, counts, n_resamples, seed)


def resampled_sums(sums: Floats, counts: Indices, n_resamples: int, seed: int) -> Floats:
    """`resampled_means` from what each group adds up to.

    Args:
        sums: of every column's values, shape (n_groups, n_columns).
        counts: queries of each group, shape (n_groups,).
        n_resamples: rows of the answer.
        seed: of the draws.

    Returns:
        Shape (n_resamples, n_columns); NaN throughout with fewer than two groups.
    """
    if len(counts) < 2:
        return np.full((n_resamples, sums.shape[1]), np.nan)
    chunks = [
        (draws @ sums) / (draws @ counts)[:, np.newaxis]
        for draws in group_draws(len(counts), n_resamples, seed)
    ]
    return np.concatenate(chunks)


def percentiles(resampled: Floats, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Both ends of every column's interval, (n_resamples, m) to (m,) and (m,).

    At 95 % these are the 2.5th and the 97.5th percentile.
    """
    low, high = np.percentile(resampled, (50 - 50 * level, 50 + 50 * level), axis=0)
    return low, high


def mean_class_accuracy_bootstrap(
    is_correct: Flags, labels: Indices, groups: Indices, n_resamples: int, seed: int
) -> tuple[Interval, Floats]:
    """Mean of class accuracies with its interval over groups of items, and the resampled means.

    Two sets of predictions of the same items and groups share the draws. A class that a resample
    does not hold takes no part in that resample's mean.

    Args:
        is_correct: shape (n_items,).
        labels: class index of each item, shape (n_items,).
        groups: shape (n_items,); np.arange(n_items) draws single items.
        n_resamples: bootstrap resamples.
        seed: of the draws.
    """
    _, group = np.unique(groups, return_inverse=True)
    _, label = np.unique(labels, return_inverse=True)
    shape = (int(group.max()) + 1, int(label.max()) + 1)
    totals, hits = np.zeros(shape), np.zeros(shape)
    np.add.at(totals, (group, label), 1.0)
    np.add.at(hits, (group, label), is_correct.astype(np.float64))
    value = float((hits.sum(axis=0) / totals.sum(axis=0)).mean())
    if shape[0] < 2:
        nothing = np.full(n_resamples, np.nan)
        return Interval(value, float("nan"), float("nan"), len(labels), shape[0]), nothing
    means = np.concatenate([
        _mean_over_present(draws @ hits, draws @ totals)
        for draws in group_draws(shape[0], n_resamples, seed)
    ])
    low, high = percentiles(means[:, np.newaxis])
    return Interval(value, float(low[0]), float(high[0]), len(labels), shape[0]), means


def group_draws(n_groups: int, n_resamples: int, seed: int, cells: int = 0) -> Iterator[Floats]:
    """How often each group is drawn in each resample, chunks of shape (rows, n_groups).

    Args:
        n_groups: to draw from, as often as there are.
        n_resamples: in all.
        seed: of the draws.
        cells: that a row becomes in the caller's hands, where these are more; chunks are smaller.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK_CELLS // max(n_groups, cells))
    for start in range(0, n_resamples, rows):
        n = min(rows, n_resamples - start)
        drawn = rng.integers(0, n_groups, size=(n, n_groups))
        flat = (drawn + n_groups * np.arange(n)[:, np.newaxis]).ravel()
        yield np.bincount(flat, minlength=n * n_groups).reshape(n, n_groups).astype(np.float64)


def _mean_over_present(hits: Floats, totals: Floats) -> Floats:
    present = totals > 0
    accuracies = np.divide(hits, totals, out=np.zeros_like(hits), where=present)
    return np.asarray(accuracies.sum(axis=1) / present.sum(axis=1), dtype=np.float64)
