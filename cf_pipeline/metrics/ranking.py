"""Ranking measures, one value per query; NaN marks a query that has nothing to find.

Rankings come in as gains (or hits) in rank order, so one function serves recommendation and image
retrieval. Recall divides by all relevant items, not by min(relevant, k). Gain is linear, the
discount log2(rank + 1), the ideal ranking is truncated at k and made from the same candidates.
Equal scores are ordered by keys that are handed in, never by position.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cf_pipeline.metrics.keyed import Keys, pair_keys
from cf_pipeline.vectors import Indices

_MANY_TIES = 4
"""Candidates in the running per place, above which ties are thinned out before they are sorted."""

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def rank_top_k(
    scores: npt.NDArray[np.floating],
    allowed: Flags,
    k: int,
    query_keys: Keys,
    candidate_keys: Keys,
) -> Indices:
    """Columns of the k best allowed candidates of every query, best first.

    Args:
        scores: shape (n_queries, n_candidates).
        allowed: which candidates a query may rank, same shape.
        k: how many.
        query_keys: shape (n_queries,).
        candidate_keys: shape (n_candidates,); equal scores are ordered by the pair's key.

    Returns:
        int64, shape (n_queries, k), -1 where a query has fewer candidates.
    """
    n_queries, n_candidates = scores.shape
    ranked = np.full((n_queries, k), -1, dtype=np.int64)
    if n_candidates == 0:
        return ranked
    masked = np.where(allowed, scores, -np.inf)
    place = max(0, n_candidates - k)
    threshold = np.partition(masked, place, axis=1)[:, place, np.newaxis]
    running = allowed & (masked >= threshold)
    if np.count_nonzero(running) > _MANY_TIES * k * n_queries:
        tied = running & (masked == threshold)
        running &= ~tied | _first_ties(tied, k, query_keys, candidate_keys)
    rows, columns = np.nonzero(running)
    ties = pair_keys(query_keys[rows], candidate_keys[columns])
    order = np.lexsort((ties, -masked[rows, columns], rows))
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = rank < k
    ranked[rows[kept], rank[kept]] = columns[order][kept]
    return ranked


def _first_ties(tied: Flags, k: int, query_keys: Keys, candidate_keys: Keys) -> Flags:
    """Those of the tied candidates that may be among the first k, (n_queries, n_candidates)."""
    keys = pair_keys(query_keys[:, np.newaxis], candidate_keys[np.newaxis, :])
    keys[~tied] = np.iinfo(np.uint64).max
    last = min(k, keys.shape[1]) - 1
    return np.asarray(
        tied & (keys <= np.partition(keys, last, axis=1)[:, last, np.newaxis]), dtype=np.bool_
    )


def taken(gains: npt.NDArray[np.generic], ranked: Indices) -> Floats:
    """Gains in rank order, 0 where a ranking is shorter than k.

    Args:
        gains: shape (n_queries, n_candidates).
        ranked: columns, -1 for none, shape (n_queries, k).
    """
    values = np.take_along_axis(gains, np.maximum(ranked, 0), axis=1).astype(np.float64)
    return np.where(ranked >= 0, values, 0.0)


def taken_sparse(gains: sparse.csr_matrix, ranked: Indices) -> Floats:
    """`taken` for gains in a CSR matrix, shape (n_queries, n_candidates)."""
    rows = np.repeat(np.arange(ranked.shape[0]), ranked.shape[1])
    values = np.asarray(gains[rows, np.maximum(ranked, 0).ravel()], dtype=np.float64)
    return np.where(ranked >= 0, values.reshape(ranked.shape), 0.0)


def recall_at_k(ranked_hits: npt.NDArray[np.generic], n_relevant: Indices, k: int) -> Floats:
    """Hits among the first k divided by all relevant items.

    Args:
        ranked_hits: whether the item at each rank is relevant, shape (n_queries, at least k or
            as many as were ranked).
        n_relevant: relevant items of each query, found or not, shape (n_queries,).
        k: cut-off.

    Returns:
        Shape (n_queries,), NaN where nothing is relevant.
    """
    hits = (ranked_hits[:, :k] != 0).sum(axis=1)
    nothing = n_relevant == 0
    return np.where(nothing, np.nan, hits / np.where(nothing, 1, n_relevant))


def dcg_at_k(ranked_gains: npt.NDArray[np.generic], k: int) -> Floats:
    """Sum over ranks 1..k of gain / log2(rank + 1), shape (n_queries, ranks) to (n_queries,)."""
    gains = ranked_gains[:, :k].astype(np.float64)
    return np.asarray(gains @ (1.0 / np.log2(np.arange(gains.shape[1]) + 2.0)), dtype=np.float64)


def ideal_dcg_at_k(gains: npt.NDArray[np.generic], k: int) -> Floats:
    """DCG of the best ranking of these gains, in any order, (n_queries, n) to (n_queries,).

    nDCG is a ranking's DCG divided by it (Järvelin, Kekäläinen 2002).
    """
    n = gains.shape[1]
    best = gains if n <= k else np.partition(gains, n - k, axis=1)[:, n - k :]
    return dcg_at_k(-np.sort(-best.astype(np.float64), axis=1), k)
