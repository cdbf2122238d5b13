"""What validation covers are ranked against: the judge's own measure, bounded.

Epochs and strengths of ridges are chosen by it; nothing is fitted to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.metrics.keyed import Keys, id_keys
from cf_pipeline.metrics.ranking import Flags, Floats, dcg_at_k, ideal_dcg_at_k, rank_top_k, taken
from cf_pipeline.vectors import Indices, Matrix, unit_norm

CUT_OFF = 10


@dataclass(frozen=True)
class Relevances:
    """Queries among n covers, and how relevant every comparable one is to each.

    Attributes:
        queries: rows of the covers that are queried, shape (n_queries,).
        gains: shape (n_queries, n), 0 where nothing is shared or not comparable.
        comparable: whether a query may be answered with a cover, same shape.
        keys: order equals, shape (n,).
    """

    queries: Indices
    gains: Floats
    comparable: Flags
    keys: Keys

    @classmethod
    def of(cls, pairs: pl.DataFrame, project_ids: Sequence[str]) -> Relevances:
        """From a row per comparable pair.

        Args:
            pairs: `query_id, candidate_id, relevance`.
            project_ids: of the covers, in their order.

        Raises:
            DataError: a pair is of a project that has no cover here.
        """
        rows = {id_: row for row, id_ in enumerate(project_ids)}
        strangers = set(pairs["query_id"]) | set(pairs["candidate_id"])
        strangers -= rows.keys()
        if strangers:
            raise DataError(
                f"relevances name {len(strangers)} projects that are not in validation, the first "
                f"is {min(strangers)!r}. Materialize training_set again."
            )
        asked = pairs["query_id"].unique().sort().to_list()
        place = {id_: row for row, id_ in enumerate(asked)}
        first = np.array([place[id_] for id_ in pairs["query_id"]], dtype=np.int64)
        second = np.array([rows[id_] for id_ in pairs["candidate_id"]], dtype=np.int64)
        gains = np.zeros((len(asked), len(project_ids)))
        gains[first, second] = pairs["relevance"].to_numpy()
        comparable = np.zeros(gains.shape, dtype=np.bool_)
        comparable[first, second] = True
        queries = np.array([rows[id_] for id_ in asked], dtype=np.int64)
        return cls(queries, gains, comparable, id_keys(project_ids, seed=0))

    def nearest(self, vectors: Matrix, n_queries: int, k: int) -> list[list[int]]:
        """Rows of a few queries, evenly spaced, each followed by those of its k nearest by cosine.

        Args:
            vectors: shape (n, d).
            n_queries: at most so many.
            k: comparable ones are ranked; a query with fewer has a shorter list.
        """
        step = max(1, len(self.queries) // n_queries)
        shown = slice(0, n_queries * step, step)
        unit = unit_norm(vectors)
        scores = unit[self.queries[shown]] @ unit.T
        keys = self.keys[self.queries[shown]]
        ranked = rank_top_k(scores, self.comparable[shown], k, keys, self.keys)
        asked = self.queries[shown].tolist()
        return [[query, *row[row >= 0].tolist()] for query, row in zip(asked, ranked, strict=True)]

    def ndcg(self, vectors: Matrix) -> float:
        """Mean nDCG at 10 of rankings by cosine; NaN where no query has anything to find.

        Args:
            vectors: shape (n, d).
        """
        unit = unit_norm(vectors)
        scores = unit[self.queries] @ unit.T
        keys = self.keys[self.queries]
        ranked = rank_top_k(scores, self.comparable, CUT_OFF, keys, self.keys)
        ideal = ideal_dcg_at_k(self.gains, CUT_OFF)
        answered = ideal > 0
        if not answered.any():
            return float("nan")
        found = dcg_at_k(taken(self.gains, ranked), CUT_OFF)
        return float((found[answered] / ideal[answered]).mean())
