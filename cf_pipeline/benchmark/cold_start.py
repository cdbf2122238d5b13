"""Cold start: held-out projects ranked for users by what their covers say, as if nobody had come.

A user has a latent factor from train projects; a held-out project has the place that its cover
predicts. Beside them stand what needs no network (the nearest train covers by ImageNet's features,
and which of them the user came for) and what no newcomer has: its own interactions, folded in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse, stats

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.feature_sets import (
    CHANCE,
    LATENT_FACTORS,
    POPULARITY,
    ordered,
)
from cf_pipeline.benchmark.inputs import ColdStartInputs, PoolInputs, train_ids
from cf_pipeline.benchmark.pool import Pool, build_pool
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.intervals import group_bootstrap
from cf_pipeline.metrics.keyed import id_keys
from cf_pipeline.metrics.ranking import Floats, rank_top_k, recall_at_k, taken
from cf_pipeline.vectors import IndexedVectors, Indices, Matrix, Progress, silent, unit_norm

CUT_OFF = 100
NEIGHBOURS = (10, 50, 200)
"""Nearest train covers that ImageNet's features may ask; validation chooses."""
COLD_START_SCHEMA = {
    "split": pl.String,
    "feature_set": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n_users": pl.Int64,
}
_METRICS = ("auc", "recall_at_100")
_SPLITS = ("validation", "test")
_BLOCK = 512

Score = Callable[[Indices], Matrix]
"""Rows of users to their scores of every candidate, shape (n, n_candidates)."""


@dataclass(frozen=True)
class ColdStart:
    """The projects of one split, and who came for them.

    Attributes:
        split: its name.
        user_ids: of the users that are asked.
        came: CSR, shape (n_users, n_candidates), 1 where a user came for a held-out project.
        knew: CSR, shape (n_users, n_train), 1 where one came for a train project.
        user_factors: shape (n_users, k).
        project_ids: of the candidates.
    """

    split: str
    user_ids: tuple[str, ...]
    came: sparse.csr_matrix
    knew: sparse.csr_matrix
    user_factors: Matrix
    project_ids: tuple[str, ...]


def cold_start_table(
    inputs: ColdStartInputs, config: BenchmarkConfig, progress: Progress = silent
) -> tuple[pl.DataFrame, int]:
    """AUC and recall at 100 of every way to place a held-out project.

    Args:
        inputs: who is judged, users and features.
        config: bounds of pools and users, resamples, seed.
        progress: hears users done of users to do.

    Returns:
        Rows of COLD_START_SCHEMA, and how many neighbours were chosen on validation.

    Raises:
        DataError: nobody came for a held-out project, or a vector is missing.
    """
    judged, features = inputs.judged, inputs.features
    truth = build_truth(judged.events)
    catalog = judged.catalog()
    known, rules = train_ids(catalog), judged.pool_rules(config)
    halves = {
        split: _cold_start(inputs, build_pool(truth, catalog, split, rules), known, config)
        for split in _SPLITS
    }
    everybody = sum(len(half.user_ids) for half in halves.values())
    done = 0
    rows: list[pl.DataFrame] = []
    k = NEIGHBOURS[0]
    for split, half in halves.items():
        tried = NEIGHBOURS if split == _SPLITS[0] else (k,)
        near = {n: _neighbours(half, features[inputs.frozen], known, n) for n in tried}
        if len(tried) > 1:
            aucs = {
                n: float(np.nanmean(_measured(half, s, config.seed)[:, 0])) for n, s in near.items()
            }
            k = max(NEIGHBOURS, key=lambda n: aucs[n])
        placed = {n: v for n, v in features.items() if n != inputs.frozen}
        scores = {**_placed(half, judged, placed), inputs.frozen: near[k], **_controls(half)}
        measured = {n: _measured(half, scores[n], config.seed) for n in ordered(scores)}
        rows.append(_rows(half, measured, config))
        done += len(half.user_ids)
        progress(done, everybody, {})
    return pl.concat(rows), k


def _cold_start(
    inputs: ColdStartInputs, pool: Pool, known: tuple[str, ...], config: BenchmarkConfig
) -> ColdStart:
    judged, users = inputs.judged, inputs.users
    placed = pl.DataFrame({"user_id": users.ids})
    events = judged.events.join(placed, on="user_id", how="semi")
    here = events.join(pl.DataFrame({"project_id": pool.project_ids}), on="project_id", how="semi")
    asked = here["user_id"].unique().sort()
    keys = id_keys(asked.to_list(), config.seed)
    chosen = np.sort(np.argsort(keys, kind="stable")[: config.max_queries])
    ids = tuple(asked[chosen].to_list())
    if not ids:
        raise DataError(
            f"nobody who has a latent factor came for one of {len(pool.project_ids)} "
            f"{pool.split} projects, so cold start cannot be judged. Raise split.{pool.split} or "
            "loosen pruning."
        )
    return ColdStart(
        pool.split,
        ids,
        _incidence(here, ids, pool.project_ids),
        _incidence(events, ids, known),
        users.rows(ids),
        pool.project_ids,
    )


def _placed(
    half: ColdStart, judged: PoolInputs, features: Mapping[str, IndexedVectors]
) -> dict[str, Score]:
    """What predicts factors, and the factors themselves: inner products with a user's.

    Some have the mean of the train factors in them and some not: it adds the same to all scores of
    a user.
    """
    given = {**features, LATENT_FACTORS: judged.factors}
    return {name: _products(half, v.rows(half.project_ids)) for name, v in given.items()}


def _products(half: ColdStart, places: Matrix) -> Score:
    return lambda rows: half.user_factors[rows] @ places.T


def _controls(half: ColdStart) -> dict[str, Score]:
    """All alike; and how many came for each, which nobody knows of a new project."""
    n = len(half.project_ids)
    popularity = np.asarray(half.came.sum(axis=0), dtype=np.float32).reshape(1, n)
    return {
        CHANCE: lambda rows: np.zeros((len(rows), n), dtype=np.float32),
        POPULARITY: lambda rows: np.broadcast_to(popularity, (len(rows), n)),
    }


def _neighbours(half: ColdStart, vectors: IndexedVectors, known: tuple[str, ...], k: int) -> Score:
    """Sum of cosines to those of a candidate's k nearest train covers that the user came for."""
    candidates, train = unit_norm(vectors.rows(half.project_ids)), unit_norm(vectors.rows(known))
    k = min(k, len(train))
    parts = []
    for start in range(0, len(candidates), _BLOCK):
        cosines = candidates[start : start + _BLOCK] @ train.T
        nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        rows = np.repeat(np.arange(len(cosines)), k)
        values = np.take_along_axis(cosines, nearest, axis=1).ravel()
        parts.append(sparse.csr_matrix((values, (rows, nearest.ravel())), shape=cosines.shape))
    near = sparse.vstack(parts).T.tocsr()
    return lambda rows: np.asarray((half.knew[rows] @ near).toarray(), dtype=np.float32)


def _measured(half: ColdStart, score: Score, seed: int) -> Floats:
    """AUC and recall of every user, shape (n_users, 2).

    AUC is the chance that a project that the user came for scores above one that not, ties half;
    NaN where one came for all.
    """
    user_keys, keys = id_keys(half.user_ids, seed), id_keys(half.project_ids, seed)
    parts = []
    for rows in _blocks(len(half.user_ids)):
        scores = np.round(score(rows).astype(np.float64), 6)
        came = half.came[rows].toarray() > 0
        n_came = came.sum(axis=1)
        n_others = came.shape[1] - n_came
        ranks = stats.rankdata(scores, axis=1)
        above = (ranks * came).sum(axis=1) - n_came * (n_came + 1) / 2
        pairs = n_came * n_others
        auc = np.divide(above, pairs, out=np.full(len(rows), np.nan), where=pairs > 0)
        everything = np.ones_like(came)
        ranked = rank_top_k(scores, everything, CUT_OFF, user_keys[rows], keys)
        recall = recall_at_k(taken(came, ranked), n_came.astype(np.int64), CUT_OFF)
        parts.append(np.stack([auc, recall], axis=1))
    return np.concatenate(parts)


def _rows(half: ColdStart, measured: Mapping[str, Floats], config: BenchmarkConfig) -> pl.DataFrame:
    users = np.arange(len(half.user_ids), dtype=np.int64)
    rows = []
    for name, columns in measured.items():
        for column, metric in enumerate(_METRICS):
            interval = group_bootstrap(columns[:, column], users, config.n_resamples, config.seed)
            rows.append({
                "split": half.split,
                "feature_set": name,
                "metric": metric,
                "value": interval.value,
                "low": interval.low,
                "high": interval.high,
                "n_users": interval.n_queries,
            })
    return pl.DataFrame(rows, schema=COLD_START_SCHEMA).with_columns(
        pl.col(pl.Float64).fill_nan(None)
    )


def _incidence(
    events: pl.DataFrame, user_ids: tuple[str, ...], project_ids: tuple[str, ...]
) -> sparse.csr_matrix:
    """1 for every event of these users and projects, shape (n_users, n_projects)."""
    rows = pl.DataFrame({"user_id": user_ids}).with_row_index("row")
    columns = pl.DataFrame({"project_id": project_ids}).with_row_index("column")
    pairs = events.join(rows, on="user_id").join(columns, on="project_id")
    ones = np.ones(pairs.height, dtype=np.float32)
    shape = (len(user_ids), len(project_ids))
    return sparse.csr_matrix((ones, (pairs["row"].to_numpy(), pairs["column"].to_numpy())), shape)


def _blocks(n: int) -> Iterator[Indices]:
    for start in range(0, n, _BLOCK):
        yield np.arange(start, min(start + _BLOCK, n), dtype=np.int64)
