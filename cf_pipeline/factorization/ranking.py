"""Do the factors recommend? Recall and nDCG of hidden events, beside rivals that cost little.

A diagnostic of the factorization, on train projects only: events are hidden (`holding_out`), models
are fitted to the rest, and all train projects that a user is not known to have are ranked. Full
ranking, no sampled candidates; of many users, some.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.ease import MOST_PROJECTS, STRENGTHS, ease_scores, project_weights
from cf_pipeline.factorization.factorizer import Factorizer, Fitting, Fixed
from cf_pipeline.factorization.holding_out import Question, of_known_users, of_new_users
from cf_pipeline.factorization.item_knn import knn_scores, project_cosines
from cf_pipeline.interactions.matrix import InteractionMatrix
from cf_pipeline.metrics.intervals import group_bootstrap
from cf_pipeline.metrics.keyed import id_keys
from cf_pipeline.metrics.ranking import (
    Floats,
    dcg_at_k,
    rank_top_k,
    recall_at_k,
    taken_sparse,
)
from cf_pipeline.vectors import Indices, Matrix

METRICS = ("recall_at_20", "recall_at_50", "ndcg_at_20", "ndcg_at_100")
DENOMINATORS = {
    "recall": "all hidden projects of the user",
    "ndcg": "the ideal ranking: all hidden projects of the user first",
}
"""What a metric divides by, by how its name begins."""
FACTORS, ITEM_KNN, EASE, POPULARITY = "factors", "item_knn", "ease", "popularity"
_DEPTHS = {metric: int(metric.rpartition("_")[2]) for metric in METRICS}
_DEEPEST = max(_DEPTHS.values())
N_RESAMPLES = 1000
_BLOCK = 512

_logger = logging.getLogger(__name__)

Score = Callable[[int, int], Matrix]
"""Users of a question from start to stop, to scores of shape (users, n_projects)."""


class FactorScores(NamedTuple):
    """What models make of the questions.

    Attributes:
        scores: `protocol, model, metric, value, low, high, n_users, denominator`.
        differences: `protocol, model, reference, metric, difference, low, high, n_users`, factors
            minus each other model, user by user.
    """

    scores: pl.DataFrame
    differences: pl.DataFrame


def factor_scores(
    matrix: InteractionMatrix,
    factorizer: Factorizer,
    fitting: Fitting,
    *,
    holdout: float,
    max_users: int,
) -> FactorScores:
    """Rank hidden events of known users and of new ones, by factors and by their rivals.

    Args:
        matrix: train projects only.
        factorizer: models of its own are fitted.
        fitting: number of factors, seed, threads, who listens.
        holdout: share of events to hide.
        max_users: most users to rank for; ranking costs users times projects.

    Returns:
        95 % intervals by bootstrap over users.

    Raises:
        DataError: nothing to hide.
    """
    scores: list[dict[str, object]] = []
    differences: list[dict[str, object]] = []
    strength: float | None = None
    for ask in (of_known_users, of_new_users):
        question = ask(matrix, holdout, max_users, fitting.seed)
        if strength is None and len(matrix.project_ids) <= MOST_PROJECTS:
            strength = _ease_strength(question, fitting.seed)
        per_user = {
            model: rank_users(question, score, fitting.seed)
            for model, score in _models(question, factorizer, fitting, strength)
        }
        for model, values in per_user.items():
            scores += _rows(question, values, fitting.seed, {"model": model}, "value")
            if model != FACTORS:
                pair = {"model": FACTORS, "reference": model}
                apart = per_user[FACTORS] - values
                differences += _rows(question, apart, fitting.seed, pair, "difference")
    begins = pl.col("metric").str.extract("^([a-z]+)")
    denominator = begins.replace_strict(DENOMINATORS, return_dtype=pl.String)
    table = pl.DataFrame(scores).with_columns(denominator=denominator)
    return FactorScores(table, pl.DataFrame(differences))


def by_factors(question: Question, factorizer: Factorizer, fitting: Fitting) -> Score:
    """Inner products; new users are placed by what is shown of them."""
    train = question.train.user_items
    factors = factorizer.fit(train, fitting)
    projects = factors.item_factors
    if question.rows is not None:
        users = factors.user_factors[question.rows]
    else:
        degrees = np.bincount(train.indices, minlength=train.shape[1]).astype(np.int64)
        fixed = Fixed("project", projects, degrees, train.shape[0])
        users = factorizer.place(fixed, question.shown)
    return lambda a, b: users[a:b] @ projects.T


def rank_users(question: Question, score: Score, seed: int) -> Floats:
    """METRICS of every user who is asked about, NaN where nothing is hidden.

    recall@k = hidden projects among the first k / all hidden projects of the user. nDCG@k has
    binary gain, and its ideal ranking all hidden projects first. Projects that are shown are not
    ranked.

    Returns:
        Shape (n_users, len(METRICS)).
    """
    n_users = question.shown.shape[0]
    user_keys = id_keys(question.user_ids, seed)
    project_keys = id_keys(question.train.project_ids, seed)
    parts = []
    for start in range(0, n_users, _BLOCK):
        stop = min(start + _BLOCK, n_users)
        hidden = question.hidden[start:stop].copy()
        hidden.data[:] = 1
        allowed = question.shown[start:stop].toarray() == 0
        ranked = rank_top_k(
            score(start, stop), allowed, _DEEPEST, user_keys[start:stop], project_keys
        )
        hits = taken_sparse(hidden, ranked)
        n_hidden = np.diff(hidden.indptr).astype(np.int64)
        parts.append(np.stack([_measured(m, hits, n_hidden) for m in METRICS], axis=1))
    return np.concatenate(parts)


def _models(
    question: Question, factorizer: Factorizer, fitting: Fitting, strength: float | None
) -> Iterator[tuple[str, Score]]:
    train, shown = question.train.user_items, question.shown
    yield FACTORS, by_factors(question, factorizer, fitting)
    cosines = project_cosines(train, threads=fitting.threads)
    yield ITEM_KNN, lambda a, b: knn_scores(shown[a:b], cosines)
    if strength is not None:
        weights = project_weights(train, strength)
        yield EASE, lambda a, b: ease_scores(shown[a:b], weights)
    popularity = np.asarray((train > 0).sum(axis=0), dtype=np.float32).reshape(1, -1)
    yield POPULARITY, lambda a, b: np.repeat(popularity, b - a, axis=0)


def _ease_strength(question: Question, seed: int) -> float:
    """The strength of EASE that finds most of some events hidden among those it is fitted to."""
    try:
        inner = of_known_users(question.train, 0.2, 1000, seed + 1)
    except DataError:
        middle = STRENGTHS[len(STRENGTHS) // 2]
        _logger.warning("too few events to choose the strength of EASE by: %g is taken", middle)
        return middle

    def found(strength: float) -> float:
        weights = project_weights(inner.train.user_items, strength)
        values = rank_users(inner, lambda a, b: ease_scores(inner.shown[a:b], weights), seed)
        return float(np.nanmean(values[:, METRICS.index("ndcg_at_100")]))

    return max(STRENGTHS, key=found)


def _rows(
    question: Question, values: Floats, seed: int, named: Mapping[str, str], value: str
) -> Iterator[dict[str, object]]:
    """A row for each metric, its mean under the name that `value` gives."""
    users = np.arange(len(values), dtype=np.int64)
    for column, metric in enumerate(METRICS):
        found = group_bootstrap(values[:, column], users, N_RESAMPLES, seed)
        yield {
            "protocol": question.protocol,
            **named,
            "metric": metric,
            value: found.value,
            "low": found.low,
            "high": found.high,
            "n_users": found.n_queries,
        }


def _measured(metric: str, hits: Floats, n_hidden: Indices) -> Floats:
    """One of METRICS of users whose rankings hit so, shape (n_users, _DEEPEST) to (n_users,)."""
    k = _DEPTHS[metric]
    if metric.startswith("recall"):
        return recall_at_k(hits, n_hidden, k)
    ideal = np.cumsum(1 / np.log2(np.arange(k) + 2))
    best = np.where(n_hidden > 0, ideal[np.clip(n_hidden, 1, k) - 1], np.nan)
    return dcg_at_k(hits, k) / best
