"""How a feature set ranks candidates: by cosine, or by something no feature set should profit from.

The controls go through the same code as features. `chance` calls all candidates equal: ties count
half in triplets and are broken at random in rankings, with the same keys for every row, so that
paired differences to it hold no noise of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from cf_pipeline.benchmark.feature_sets import CHANCE, POPULARITY, SPLIT_GROUP
from cf_pipeline.benchmark.pool import Pool
from cf_pipeline.vectors import Indices, Matrix, unit_norm

_DECIMALS = 6
"""Cosines are rounded to this: beyond it float32 differs with the order of summation, and equal
vectors must tie."""


class Scorer(Protocol):
    """What ranks candidates of a pool; arguments are row numbers of the pool."""

    def block(self, queries: Indices, candidates: Indices) -> Matrix:
        """Every query against every candidate, shape (n_queries, n_candidates)."""
        ...

    def pairs(self, anchors: Indices, others: Indices) -> Matrix:
        """Anchor a against others[a], (n,) and (n, t) to (n, t)."""
        ...


@dataclass(frozen=True)
class CosineScorer:
    """Cosine of unit-norm vectors, shape (n, d)."""

    vectors: Matrix

    @classmethod
    def of(cls, vectors: Matrix) -> CosineScorer:
        """A scorer of vectors of any length."""
        return cls(unit_norm(vectors))

    def block(self, queries: Indices, candidates: Indices) -> Matrix:
        """See Scorer."""
        return np.round(self.vectors[queries] @ self.vectors[candidates].T, _DECIMALS)

    def pairs(self, anchors: Indices, others: Indices) -> Matrix:
        """See Scorer."""
        cosines = np.einsum("ad,atd->at", self.vectors[anchors], self.vectors[others])
        return np.asarray(np.round(cosines, _DECIMALS), dtype=np.float32)


@dataclass(frozen=True)
class PopularityScorer:
    """A candidate's own number whatever the query, shape (n,); zeros call everything equal."""

    popularity: Indices

    def block(self, queries: Indices, candidates: Indices) -> Matrix:
        """See Scorer."""
        row = self.popularity[candidates].astype(np.float32)
        return np.broadcast_to(row, (len(queries), len(candidates)))

    def pairs(self, anchors: Indices, others: Indices) -> Matrix:
        """See Scorer."""
        return self.popularity[others].astype(np.float32)


@dataclass(frozen=True)
class SharedScorer:
    """1 where query and candidate share a value, CSR memberships of shape (n, n_values)."""

    memberships: sparse.csr_matrix

    def block(self, queries: Indices, candidates: Indices) -> Matrix:
        """See Scorer."""
        shared = (self.memberships[queries] @ self.memberships[candidates].T).toarray() > 0
        return np.asarray(shared, dtype=np.float32)

    def pairs(self, anchors: Indices, others: Indices) -> Matrix:
        """See Scorer."""
        first = self.memberships[np.repeat(anchors, others.shape[1])]
        shared = first.multiply(self.memberships[others.ravel()]).sum(axis=1)
        return (np.asarray(shared).reshape(others.shape) > 0).astype(np.float32)


def control_scorers(pool: Pool) -> dict[str, Scorer]:
    """The rows that look at no cover; `split_group` only where the pool has something to share."""
    controls: dict[str, Scorer] = {
        CHANCE: PopularityScorer(pool.popularity * 0),
        POPULARITY: PopularityScorer(pool.popularity),
    }
    if pool.split_groups.nnz:
        controls[SPLIT_GROUP] = SharedScorer(pool.split_groups)
    return controls
