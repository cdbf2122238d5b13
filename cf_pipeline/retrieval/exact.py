"""The nearest vectors by cosine, exactly: no index, and memory that does not grow with queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from cf_pipeline.metrics.keyed import Keys, id_keys
from cf_pipeline.metrics.ranking import rank_top_k
from cf_pipeline.vectors import IndexedVectors, Indices, Matrix, Progress, silent, unit_norm

_COSINES_AT_ONCE = 4_000_000
"""In float32; sorting them out takes about five times their memory."""
NEIGHBOURS_SCHEMA = {
    "project_id": pl.String,
    "rank": pl.Int32,
    "neighbour_id": pl.String,
    "cosine": pl.Float32,
}


@dataclass(frozen=True)
class Nearest:
    """What is nearest to each of some queries, nearest first.

    Attributes:
        rows: of the vectors that were searched, -1 where there are fewer than k, shape (q, k).
        cosines: of these to the query, NaN where there is none, shape (q, k).
    """

    rows: Indices
    cosines: Matrix


@dataclass(frozen=True)
class ExactSearch:
    """Vectors that are searched.

    Attributes:
        ids: outside keys, shape (n,).
        unit: the vectors at length 1, a zero vector as it is, shape (n, d).
        keys: order equals, shape (n,).
    """

    ids: tuple[str, ...]
    unit: Matrix
    keys: Keys

    @classmethod
    def of(cls, vectors: IndexedVectors, seed: int = 0) -> ExactSearch:
        """Search these; the seed orders those that are equally near."""
        return cls(vectors.ids, unit_norm(vectors.vectors), id_keys(vectors.ids, seed))

    def nearest(
        self, queries: Matrix, k: int, *, own: Indices | None = None, progress: Progress = silent
    ) -> Nearest:
        """The k nearest to each query.

        Args:
            queries: of any length but the vectors' dimensions, shape (q, d).
            k: how many.
            own: row of each query among the vectors, which is left out, -1 for none, shape (q,);
                None: no query is among them.
            progress: called after every block.
        """
        step = max(1, _COSINES_AT_ONCE // max(1, len(self.unit)))
        mine = np.full(len(queries), -1) if own is None else own
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        cosines = np.full((len(queries), k), np.nan, dtype=np.float32)
        for start in range(0, len(queries) if self.ids else 0, step):
            block = slice(start, start + step)
            scores = unit_norm(queries[block]) @ self.unit.T
            allowed = np.ones(scores.shape, dtype=np.bool_)
            among = np.flatnonzero(mine[block] >= 0)
            allowed[among, mine[block][among]] = False
            # Who asks does not order equals: the same two covers are told the same way to all.
            asked = np.zeros(len(scores), dtype=np.uint64)
            rows[block] = rank_top_k(scores, allowed, k, asked, self.keys)
            found = np.take_along_axis(scores, np.maximum(rows[block], 0), axis=1)
            cosines[block] = np.where(rows[block] >= 0, found, np.nan)
            progress(min(start + step, len(queries)), len(queries), {})
        return Nearest(rows, cosines)

    def neighbours(self, k: int, progress: Progress = silent) -> pl.DataFrame:
        """The k nearest of every vector but itself, rows of NEIGHBOURS_SCHEMA, rank from 1."""
        n = len(self.ids)
        found = self.nearest(self.unit, k, own=np.arange(n), progress=progress)
        query, place = np.nonzero(found.rows >= 0)
        ids = np.array(self.ids, dtype=np.object_)
        return pl.DataFrame(
            {
                "project_id": ids[query],
                "rank": place + 1,
                "neighbour_id": ids[found.rows[query, place]],
                "cosine": found.cosines[query, place],
            },
            schema=NEIGHBOURS_SCHEMA,
        )
