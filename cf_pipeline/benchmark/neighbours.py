"""Queries of a pool with their nearest neighbors, for a panel that a person looks at.

Queries are spread over popularity, since rare projects are what features from behaviour are for.
Neighbors are those that the similarity measures would rank, so a caption can say which of them
share audience with the query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.features import as_compared
from cf_pipeline.benchmark.inputs import SimilarityInputs, train_ids
from cf_pipeline.benchmark.pool import Pool, build_pool
from cf_pipeline.benchmark.scorers import CosineScorer
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.keyed import Keys, id_keys
from cf_pipeline.metrics.ranking import rank_top_k
from cf_pipeline.metrics.similarity import relevance
from cf_pipeline.vectors import IndexedVectors, Indices


@dataclass(frozen=True)
class RetrievalRow:
    """A query and what is nearest to it, nearest first.

    Attributes:
        query: project id.
        popularity: users of the query in the truth.
        neighbours: project ids, at most as many as were asked for.
        cosines: of each neighbor to the query, in [-1, 1].
        relevances: of each neighbor to the query, above 0 where they share more audience than
            their popularity explains.
    """

    query: str
    popularity: int
    neighbours: tuple[str, ...]
    cosines: tuple[float, ...]
    relevances: tuple[float, ...]

    @property
    def caption(self) -> str:
        """The row in words, the query's id last, where a long one may be cut."""
        users = f"{self.popularity:,} user{'' if self.popularity == 1 else 's'}"
        if not self.neighbours:
            return f"{users}, nothing to compare with: {self.query}"
        shared = [str(rank) for rank, value in enumerate(self.relevances, start=1) if value > 0]
        audience = f"shares audience with {', '.join(shared)}" if shared else "shares no audience"
        return (
            f"{users}, {audience} of {len(self.neighbours)}, cosine {self.cosines[0]:.2f} to "
            f"{self.cosines[-1]:.2f}: {self.query}"
        )


def retrieval_rows(
    pool: Pool,
    vectors: IndexedVectors,
    *,
    n_queries: int = 6,
    n_neighbours: int = 8,
    seed: int = 0,
) -> tuple[RetrievalRow, ...]:
    """The nearest comparable projects of some queries, most popular query first.

    Args:
        pool: queries and candidates.
        vectors: features of every project of the pool, others are ignored.
        n_queries: how many; a smaller pool gives fewer.
        n_neighbours: at most so many for each.
        seed: with the projects' ids it decides which queries are drawn and how ties are broken.

    Raises:
        DataError: a project of the pool has no vector.
    """
    scorer = CosineScorer.of(vectors.rows(pool.project_ids))
    keys = id_keys(pool.project_ids, seed)
    queries = _spread(pool.popularity, keys, n_queries)
    everyone = np.arange(len(pool.project_ids), dtype=np.int64)
    cosines = scorer.block(queries, everyone)
    ranked = rank_top_k(
        cosines, pool.comparable(queries, everyone), n_neighbours, keys[queries], keys
    )
    relevances = relevance(pool.engagement.take(queries), pool.engagement)
    return tuple(
        RetrievalRow(
            query=pool.project_ids[query],
            popularity=int(pool.popularity[query]),
            neighbours=tuple(pool.project_ids[column] for column in columns),
            cosines=tuple(cosines[row, columns].tolist()),
            relevances=tuple(relevances[row, columns].tolist()),
        )
        for row, query in enumerate(queries)
        for columns in [ranked[row][ranked[row] >= 0]]
    )


def nearest_by(
    inputs: SimilarityInputs, feature_set: str, config: BenchmarkConfig
) -> tuple[RetrievalRow, ...]:
    """The same of the test pool, by a feature set in the form in which it is scored.

    Raises:
        DataError: a vector is missing, or the pool is too small.
    """
    judged = inputs.judged
    catalog = judged.catalog()
    pool = build_pool(build_truth(judged.events), catalog, "test", judged.pool_rules(config))
    vectors = inputs.features[feature_set]
    compared = as_compared(feature_set, vectors, train_ids(catalog), config.imagenet_form)
    return retrieval_rows(pool, compared, seed=config.seed)


def panel_rows(
    rows: Sequence[RetrievalRow], paths: Mapping[str, str]
) -> tuple[list[list[Path]], list[str]]:
    """Cover files and captions as `figures.panels.retrieval_panel` takes them.

    Args:
        rows: what retrieval_rows returns.
        paths: project id to cover file.

    Raises:
        DataError: a project has no path.
    """
    shown = [(row.query, *row.neighbours) for row in rows]
    missing = sorted({id_ for ids in shown for id_ in ids} - paths.keys())
    if missing:
        raise DataError(
            f"expected a cover file for every project of the panel, {len(missing)} have none, the "
            f"first is {missing[0]!r}. Pass the paths of all readable covers."
        )
    return [[Path(paths[id_]) for id_ in ids] for ids in shown], [row.caption for row in rows]


def _spread(popularity: Indices, keys: Keys, n: int) -> Indices:
    """Row numbers of one project from each of n parts of equal size, most popular first."""
    by_popularity = np.lexsort((keys, -popularity))
    parts = np.array_split(by_popularity, min(n, len(popularity))) if n and len(popularity) else []
    return np.array([part[np.argmin(keys[part])] for part in parts], dtype=np.int64)
