"""Does popularity leak into features? Rank correlations of how long and how near with how popular.

A factor's length grows with its project's audience, and a network that learned it would find the
popular ones near to everything. `norm` is the length of a vector; `occurrence` how many queries
have the project among their ten nearest (k-occurrence, Radovanović et al. 2010).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from cf_pipeline.benchmark.pool import Pool
from cf_pipeline.benchmark.scorers import CosineScorer
from cf_pipeline.metrics.keyed import id_keys
from cf_pipeline.metrics.ranking import Floats, rank_top_k
from cf_pipeline.metrics.similarity import N_NEIGHBORS
from cf_pipeline.vectors import Indices, Matrix

LEAK_SCHEMA = {
    "split": pl.String,
    "feature_set": pl.String,
    "quantity": pl.String,
    "correlation": pl.Float64,
    "n_projects": pl.Int64,
}
QUANTITIES = ("norm", "occurrence")
_BLOCK = 512


def popularity_leaks(pool: Pool, vectors: Mapping[str, Matrix]) -> pl.DataFrame:
    """Spearman's correlation of each quantity with d_i, the users of a project in the truth.

    Args:
        pool: who is judged.
        vectors: feature set to its vectors of the pool, as they are compared, shape (n, d).

    Returns:
        Rows of LEAK_SCHEMA; a quantity that is the same for all has null.
    """
    rows = [
        {
            "split": pool.split,
            "feature_set": name,
            "quantity": quantity,
            "correlation": _spearman(values, pool.popularity),
            "n_projects": len(pool.project_ids),
        }
        for name, given in vectors.items()
        for quantity, values in zip(
            QUANTITIES, (np.linalg.norm(given, axis=1), _occurrences(pool, given)), strict=True
        )
    ]
    return pl.DataFrame(rows, schema=LEAK_SCHEMA)


def _occurrences(pool: Pool, vectors: Matrix) -> Floats:
    """How many queries have each project among their nearest, shape (n,)."""
    scorer, keys = CosineScorer.of(vectors), id_keys(pool.project_ids, seed=0)
    everyone: Indices = np.arange(len(pool.project_ids), dtype=np.int64)
    counts = np.zeros(len(everyone))
    for start in range(0, len(pool.queries), _BLOCK):
        queries = pool.queries[start : start + _BLOCK]
        ranked = rank_top_k(
            scorer.block(queries, everyone),
            pool.comparable(queries, everyone),
            N_NEIGHBORS,
            keys[queries],
            keys,
        )
        counts += np.bincount(ranked[ranked >= 0], minlength=len(everyone))
    return counts


def _spearman(values: Floats | Matrix, popularity: Indices) -> float | None:
    rounded = np.round(values.astype(np.float64), 6)
    if len(np.unique(rounded)) < 2 or len(np.unique(popularity)) < 2:
        return None
    from scipy.stats import spearmanr  # loads slowly, and every command loads the tables' words

    return float(spearmanr(rounded, popularity).statistic)
