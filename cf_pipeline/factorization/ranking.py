"""Do the factors recommend? Recall and nDCG on hidden events, beside popularity and item-kNN.

A diagnostic of the factorization, on train projects only: part of every user's events is hidden, a
model is fitted on the rest, and all train projects that the user did not keep are ranked. Full
ranking, no sampled candidates; of many users, some.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.factorizer import Factorizer, Fitting
from cf_pipeline.factorization.item_knn import knn_scores, project_cosines
from cf_pipeline.interactions.matrix import InteractionMatrix
from cf_pipeline.metrics.intervals import group_bootstrap
from cf_pipeline.metrics.keyed import id_keys, keyed_uniforms, pair_keys
from cf_pipeline.metrics.ranking import (
    Floats,
    dcg_at_k,
    rank_top_k,
    recall_at_k,
    taken_sparse,
)
from cf_pipeline.vectors import Indices, Matrix

METRICS = ("recall_at_20", "recall_at_50", "ndcg_at_20", "ndcg_at_100")
_DEPTHS = {metric: int(metric.rpartition("_")[2]) for metric in METRICS}
_DEEPEST = max(_DEPTHS.values())
N_RESAMPLES = 1000
_BLOCK = 512

Score = Callable[[int, int], Matrix]
"""Users from start to stop, to scores of shape (users, n_projects)."""


@dataclass(frozen=True)
class Holdout:
    """Events that are shown and events that are hidden, both CSR, shape (n_users, n_projects)."""

    kept: sparse.csr_matrix
    hidden: sparse.csr_matrix


def hold_out(matrix: InteractionMatrix, share: float, seed: int) -> Holdout:
    """Hide a share of the events, each by the hash of its user and project.

    Raises:
        DataError: nothing was hidden.
    """
    coo = matrix.user_items.tocoo()
    keys = pair_keys(
        id_keys(matrix.user_ids, seed)[coo.row], id_keys(matrix.project_ids, seed)[coo.col]
    )
    is_hidden = keyed_uniforms(keys, 1)[:, 0] < share
    if not is_hidden.any() or is_hidden.all():
        raise DataError(
            f"factorization.holdout = {share} hides {int(is_hidden.sum())} of {coo.nnz} events. "
            "Ranking needs both hidden and kept ones: change the share or prune less."
        )
    parts = [
        sparse.csr_matrix((coo.data[rows], (coo.row[rows], coo.col[rows])), shape=coo.shape)
        for rows in (~is_hidden, is_hidden)
    ]
    return Holdout(*parts)


def rank_users(holdout: Holdout, score: Score, user_ids: tuple[str, ...], seed: int) -> Floats:
    """METRICS of every user, NaN where nothing is hidden.

    recall@k = hidden projects among the first k / all hidden projects of the user. nDCG@k has
    binary gain, and its ideal ranking all hidden projects first. Projects that the user kept are
    not ranked.

    Returns:
        Shape (n_users, len(METRICS)).
    """
    n_users, n_projects = holdout.kept.shape
    user_keys = id_keys(user_ids, seed)
    project_keys = id_keys([str(i) for i in range(n_projects)], seed)
    parts = []
    for start in range(0, n_users, _BLOCK):
        stop = min(start + _BLOCK, n_users)
        hidden = holdout.hidden[start:stop].copy()
        hidden.data[:] = 1
        allowed = holdout.kept[start:stop].toarray() == 0
        ranked = rank_top_k(
            score(start, stop), allowed, _DEEPEST, user_keys[start:stop], project_keys
        )
        hits = taken_sparse(hidden, ranked)
        n_hidden = np.diff(hidden.indptr).astype(np.int64)
        parts.append(np.stack([_measured(m, hits, n_hidden) for m in METRICS], axis=1))
    return np.concatenate(parts)


def _measured(metric: str, hits: Floats, n_hidden: Indices) -> Floats:
    """One of METRICS of users whose rankings hit so, shape (n_users, _DEEPEST) to (n_users,)."""
    k = _DEPTHS[metric]
    if metric.startswith("recall"):
        return recall_at_k(hits, n_hidden, k)
    ideal = np.cumsum(1 / np.log2(np.arange(k) + 2))
    best = np.where(n_hidden > 0, ideal[np.clip(n_hidden, 1, k) - 1], np.nan)
    return dcg_at_k(hits, k) / best


def factor_scores(
    matrix: InteractionMatrix,
    factorizer: Factorizer,
    fitting: Fitting,
    *,
    holdout: float,
    max_users: int,
) -> pl.DataFrame:
    """Rank hidden events by factors fitted on the rest, by item-kNN and by popularity.

    Args:
        matrix: train projects only.
        factorizer: a model of its own is fitted.
        fitting: number of factors, seed, threads, who listens.
        holdout: share of events to hide.
        max_users: most users to rank for, of those with something hidden. Ranking costs users
            times projects; who is asked depends on the seed and a user's id alone.

    Returns:
        `model, metric, value, low, high, n_users`, 95 % intervals by bootstrap over users.

    Raises:
        DataError: nothing to hide.
    """
    parts = hold_out(matrix, holdout, fitting.seed)
    factors = factorizer.fit(parts.kept, fitting)
    popularity = np.asarray((parts.kept > 0).sum(axis=0), dtype=np.float32).reshape(1, -1)
    asked = _asked(parts, matrix.user_ids, max_users, fitting.seed)
    user_ids = tuple(matrix.user_ids[row] for row in asked)
    user_factors = factors.user_factors[asked]
    of_asked = Holdout(parts.kept[asked], parts.hidden[asked])
    cosines = project_cosines(parts.kept, threads=fitting.threads)
    models: dict[str, Score] = {
        "factors": lambda a, b: user_factors[a:b] @ factors.item_factors.T,
        "item_knn": lambda a, b: knn_scores(of_asked.kept[a:b], cosines),
        "popularity": lambda a, b: np.repeat(popularity, b - a, axis=0),
    }
    rows = []
    for model, score in models.items():
        per_user = rank_users(of_asked, score, user_ids, fitting.seed)
        for column, metric in enumerate(METRICS):
            users = np.arange(len(per_user), dtype=np.int64)
            interval = group_bootstrap(per_user[:, column], users, N_RESAMPLES, fitting.seed)
            rows.append({
                "model": model,
                "metric": metric,
                "value": interval.value,
                "low": interval.low,
                "high": interval.high,
                "n_users": interval.n_queries,
            })
    return pl.DataFrame(rows)


def _asked(holdout: Holdout, user_ids: tuple[str, ...], limit: int, seed: int) -> Indices:
    """Rows of at most so many users with something hidden, those with the smallest keys."""
    answerable = np.flatnonzero(np.diff(holdout.hidden.indptr)).astype(np.int64)
    keys = id_keys([user_ids[row] for row in answerable], seed)
    return np.sort(answerable[np.argsort(keys, kind="stable")[:limit]])
