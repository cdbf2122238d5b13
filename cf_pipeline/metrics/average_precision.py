"""Average precision, its mean over classes, and Karayev's class-balanced form; arrays in and out.

The precision at a threshold is the share of positives among what scores at least as high, and AP
sums precisions over thresholds, each by how much recall it adds: scikit-learn's
`average_precision_score`, without interpolation. Equal scores share a threshold.

AP grows with how common a class is, so that a mean over a set with classes of unlike sizes is
another measure than one where all are alike; Karayev et al. 2014 cut the set down to the latter.
"""

from __future__ import annotations

import numpy as np

from cf_pipeline.errors import DataError
from cf_pipeline.metrics.intervals import Interval, group_draws, percentiles
from cf_pipeline.metrics.keyed import Keys
from cf_pipeline.metrics.ranking import Flags, Floats
from cf_pipeline.vectors import Indices


def average_precisions(scores: Floats, positives: Flags) -> Floats:
    """AP of every class.

    Args:
        scores: of every item for every class, shape (n, n_classes).
        positives: which items are of which class, likewise.

    Returns:
        Shape (n_classes,), NaN for a class without an item.

    Raises:
        DataError: shapes disagree, or a score is not finite.
    """
    if scores.shape != positives.shape or not np.isfinite(scores).all():
        raise DataError(
            f"expected finite scores for every item and class, got shapes {scores.shape} and "
            f"{positives.shape} and {int((~np.isfinite(scores)).sum())} scores that are not finite."
        )
    ones = np.ones((1, len(scores)))
    return np.array([
        _weighted(scores[:, column], positives[:, column], ones)[0]
        for column in range(scores.shape[1])
    ])


def mean_average_precision(scores: Floats, positives: Flags) -> float:
    """Mean of APs over the classes that have items; NaN where none has."""
    return float(_mean_present(average_precisions(scores, positives)[np.newaxis])[0])


def balanced_rows(positives: Flags, keys: Keys) -> Indices:
    """Items of a set in which every class has as many as the smallest: those with the least keys.

    With several labels an item is taken for each class by itself, and once.

    Args:
        positives: shape (n, n_classes); classes without an item take no part.
        keys: of the items, shape (n,), from their ids and a seed.

    Returns:
        Row numbers, ascending.
    """
    sizes = positives.sum(axis=0)
    if not sizes.any():
        return np.zeros(0, dtype=np.int64)
    smallest, order = int(sizes[sizes > 0].min()), np.argsort(keys, kind="stable")
    taken = np.zeros(len(positives), dtype=np.bool_)
    for column in np.flatnonzero(sizes):
        taken[order[positives[order, column]][:smallest]] = True
    return np.flatnonzero(taken).astype(np.int64)


def mean_average_precision_bootstrap(
    scores: Floats, positives: Flags, groups: Indices, n_resamples: int, seed: int
) -> tuple[Interval, Floats]:
    """Mean AP with its interval over groups of items, and the resampled means, (n_resamples,).

    Two sets of scores of the same items and groups share the draws: resampled means may be
    subtracted. A class that a resample does not hold takes no part in its mean.
    """
    value = mean_average_precision(scores, positives)
    _, index = np.unique(groups, return_inverse=True)
    n_groups = int(index.max()) + 1
    if n_groups < 2:
        resampled = np.full(n_resamples, np.nan)
    else:
        resampled = np.concatenate([
            _mean_present(_resampled(scores, positives, draws[:, index]))
            for draws in group_draws(n_groups, n_resamples, seed, cells=len(index))
        ])
    low, high = percentiles(resampled[:, np.newaxis])
    return Interval(value, float(low[0]), float(high[0]), len(index), n_groups), resampled


def _resampled(scores: Floats, positives: Flags, weights: Floats) -> Floats:
    """APs by resample and class, items counted as often as their weights say."""
    columns = range(scores.shape[1])
    return np.stack([_weighted(scores[:, c], positives[:, c], weights) for c in columns], axis=1)


def _weighted(scores: Floats, positives: Flags, weights: Floats) -> Floats:
    """AP of one class for every row of weights, shape (rows, n) to (rows,); NaN without weight."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    by_rank = weights[:, order]
    counted = np.cumsum(by_rank, axis=1)[:, ends]
    hits = np.cumsum(by_rank * positives[order], axis=1)[:, ends]
    added = np.diff(hits, axis=1, prepend=0)
    precisions = np.divide(hits, counted, out=np.zeros_like(hits), where=counted > 0)
    totals = hits[:, -1]
    found = np.full(len(totals), np.nan)
    np.divide((added * precisions).sum(axis=1), totals, out=found, where=totals > 0)
    return found


def _mean_present(values: Floats) -> Floats:
    """Means over columns that are not NaN; NaN where all are."""
    present = ~np.isnan(values)
    totals = np.where(present, values, 0).sum(axis=1)
    counts = present.sum(axis=1)
    found = np.full(len(values), np.nan)
    np.divide(totals, counts, out=found, where=counts > 0)
    return found
