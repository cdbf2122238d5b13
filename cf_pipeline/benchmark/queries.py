"""Measures of similarity, query by query, for many feature sets at once.

All feature sets meet the same triplets, the same candidates and the same ties. Work goes by blocks
of queries against the candidates of their class (a popularity third, a stratum), so memory grows
with the pool, not with its square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cf_pipeline.benchmark.pool import Pool
from cf_pipeline.benchmark.scorers import Scorer
from cf_pipeline.errors import ConfigError
from cf_pipeline.metrics import similarity as arithmetic
from cf_pipeline.metrics.keyed import Keys, id_keys
from cf_pipeline.metrics.ranking import Flags, Floats, dcg_at_k, ideal_dcg_at_k, rank_top_k, taken
from cf_pipeline.vectors import Indices, Progress

WITHIN_STRATUM = "_within_stratum"
TRIPLETS = "triplet_accuracy"
NDCG = "ndcg_at_10"
SAME_FIELD = "same_field_at_10"

PAIR_SCHEMA = {"query_id": pl.String, "candidate_id": pl.String, "relevance": pl.Float32}
OnQueries = Callable[[int], None]
"""Hears how many queries of a measure are done."""

_BLOCK_CELLS = 4_000_000
_TRIPLET_ANCHORS = 128


@dataclass
class QueryCount:
    """Adds up queries for a progress callback.

    Attributes:
        progress: hears queries done of queries to do.
        total: queries to do.
        done: queries done so far.
    """

    progress: Progress
    total: int
    done: int = 0

    def add(self, n_queries: int) -> None:
        """Hear of queries and pass the sum on."""
        self.done += n_queries
        self.progress(self.done, self.total, {})


@dataclass(frozen=True)
class QueryValues:
    """One value per query, feature set and measure.

    Attributes:
        split: of the pool.
        project_ids: of the queries, n_queries.
        groups: bootstrap group of each query, shape (n_queries,).
        feature_sets: names of the columns.
        values: measure to float64 of shape (n_queries, n_feature_sets); a row of NaN is a query
            that is left out, the same for every feature set.
    """

    split: str
    project_ids: tuple[str, ...]
    groups: Indices
    feature_sets: tuple[str, ...]
    values: Mapping[str, Floats]

    def mean(self, feature_set: str, measure: str) -> float:
        """Mean over the queries that count; NaN when none does."""
        column = self.values[measure][:, self.feature_sets.index(feature_set)]
        defined = column[~np.isnan(column)]
        return float(defined.mean()) if len(defined) else float("nan")


def measures_of(pool: Pool) -> tuple[str, ...]:
    """Measures that the pool has the labels for."""
    measures = [TRIPLETS, NDCG]
    if (pool.strata >= 0).any():
        measures += [TRIPLETS + WITHIN_STRATUM, NDCG + WITHIN_STRATUM]
    if (pool.fields >= 0).any():
        measures.append(SAME_FIELD)
    return tuple(measures)


def score_features(
    pool: Pool,
    scorers: Mapping[str, Scorer],
    measures: Sequence[str],
    *,
    n_triplets: int,
    seed: int,
    on_queries: OnQueries | None = None,
) -> QueryValues:
    """Every measure for every feature set.

    Args:
        pool: queries and candidates.
        scorers: feature set to what ranks by it.
        measures: which to compute.
        n_triplets: triplets per anchor.
        seed: of triplets and ties; with the project's id it decides what is drawn.
        on_queries: hears about progress; the numbers add up to len(measures) * n_queries.

    Raises:
        ConfigError: an unknown measure.
    """
    keys = id_keys(pool.project_ids, seed)
    values: dict[str, Floats] = {}
    for measure in measures:
        base = measure.removesuffix(WITHIN_STRATUM)
        classes = _classes(pool, base, within_stratum=measure != base)
        work = _Work(pool, scorers, classes, keys, on_queries or _nobody)
        if base == TRIPLETS:
            of_pool = work.triplet_accuracy(n_triplets)
        elif base == NDCG:
            of_pool = work.ndcg()
        elif measure == SAME_FIELD:
            of_pool = work.same_field()
        else:
            raise ConfigError(f"unknown measure {measure!r}, expected one of {measures_of(pool)}.")
        values[measure] = of_pool[pool.queries]
    queried = tuple(pool.project_ids[row] for row in pool.queries)
    return QueryValues(pool.split, queried, pool.groups[pool.queries], tuple(scorers), values)


def compared_pairs(pool: Pool, measure: str) -> pl.DataFrame:
    """Whom nDCG compares: every query that has something to find, with each of its candidates.

    Args:
        pool: queries and candidates.
        measure: nDCG, or nDCG within strata.

    Returns:
        `query_id, candidate_id, relevance` (float32, 0 where nothing is shared).
    """
    classes = _classes(pool, NDCG, within_stratum=measure != NDCG)
    work = _Work(pool, {}, classes, id_keys(pool.project_ids, 0), _nobody)
    ids = np.array(pool.project_ids, dtype=object)
    parts = [pl.DataFrame(schema=PAIR_SCHEMA)]
    for queries, candidates in work._blocks():
        allowed = pool.comparable(queries, candidates)
        gains = np.where(allowed, work._relevance(queries, candidates), 0.0)
        allowed &= (gains > 0).any(axis=1, keepdims=True)
        rows, columns = np.nonzero(allowed)
        found = (ids[queries[rows]], ids[candidates[columns]], gains[rows, columns])
        parts.append(pl.DataFrame(dict(zip(PAIR_SCHEMA, found, strict=True)), schema=PAIR_SCHEMA))
    return pl.concat(parts)


@dataclass(frozen=True)
class _Work:
    """One measure's pass over a pool whose queries meet only candidates of their class.

    Values have a row for every project of the pool, NaN for what is not queried.
    """

    pool: Pool
    scorers: Mapping[str, Scorer]
    classes: Indices
    keys: Keys
    on_queries: OnQueries

    def triplet_accuracy(self, n_triplets: int) -> Floats:
        values = self._empty()
        deciles = arithmetic.popularity_bins(self.pool.popularity, arithmetic.N_DECILES)
        for queries, candidates in self._blocks():
            rules = arithmetic.TripletRules(
                deciles[candidates], self.keys[queries], self.keys[candidates], n_triplets
            )
            positives, negatives = arithmetic.draw_triplets(
                self._relevance(queries, candidates),
                self.pool.comparable(queries, candidates),
                rules,
            )
            drawn = positives[:, 0] >= 0
            values[queries[drawn]] = self._won(
                queries[drawn], candidates[positives[drawn]], candidates[negatives[drawn]]
            )
            self.on_queries(len(queries))
        return values

    def ndcg(self) -> Floats:
        values = self._empty()
        k = arithmetic.N_NEIGHBORS
        for queries, candidates in self._blocks():
            allowed = self.pool.comparable(queries, candidates)
            gains = np.where(allowed, self._relevance(queries, candidates), 0.0)
            ideal = ideal_dcg_at_k(gains, k)
            answered = ideal > 0
            for column, scorer in enumerate(self.scorers.values()):
                ranked = self._ranked(scorer, queries, candidates, allowed)
                dcg = dcg_at_k(taken(gains, ranked), k)
                values[queries[answered], column] = dcg[answered] / ideal[answered]
            self.on_queries(len(queries))
        return values

    def same_field(self) -> Floats:
        values = self._empty()
        fields = self.pool.fields
        for queries, candidates in self._blocks():
            allowed = self.pool.comparable(queries, candidates)
            same = fields[queries, np.newaxis] == fields[candidates]
            for column, scorer in enumerate(self.scorers.values()):
                ranked = self._ranked(scorer, queries, candidates, allowed)
                found = (ranked >= 0).sum(axis=1)
                answered = found > 0
                shares = taken(same, ranked)[answered].sum(axis=1) / found[answered]
                values[queries[answered], column] = shares
            self.on_queries(len(queries))
        return values

    def _won(self, anchors: Indices, positives: Indices, negatives: Indices) -> Floats:
        won = np.empty((len(anchors), len(self.scorers)))
        for start in range(0, len(anchors), _TRIPLET_ANCHORS):
            rows = slice(start, start + _TRIPLET_ANCHORS)
            for column, scorer in enumerate(self.scorers.values()):
                won[rows, column] = arithmetic.triplet_accuracy(
                    scorer.pairs(anchors[rows], positives[rows]),
                    scorer.pairs(anchors[rows], negatives[rows]),
                )
        return won

    def _ranked(
        self, scorer: Scorer, queries: Indices, candidates: Indices, allowed: Flags
    ) -> Indices:
        return rank_top_k(
            scorer.block(queries, candidates),
            allowed,
            arithmetic.N_NEIGHBORS,
            self.keys[queries],
            self.keys[candidates],
        )

    def _relevance(self, queries: Indices, candidates: Indices) -> Floats:
        engagement = self.pool.engagement
        return arithmetic.relevance(engagement.take(queries), engagement.take(candidates))

    def _empty(self) -> Floats:
        return np.full((len(self.classes), len(self.scorers)), np.nan)

    def _blocks(self) -> Iterator[tuple[Indices, Indices]]:
        """Blocks of queries with all candidates of their class; class -1 takes no part."""
        asked = self.classes[self.pool.queries]
        outside = int((asked < 0).sum())
        if outside:
            self.on_queries(outside)
        for name in np.unique(asked[asked >= 0]):
            members = np.flatnonzero(self.classes == name)
            queries = self.pool.queries[asked == name]
            size = max(1, _BLOCK_CELLS // len(members))
            for start in range(0, len(queries), size):
                yield queries[start : start + size], members


def _classes(pool: Pool, base: str, *, within_stratum: bool) -> Indices:
    """The class whose members a query is compared with; -1 takes no part, shape (n,)."""
    if base == SAME_FIELD:
        return np.where(pool.fields >= 0, 0, -1)
    thirds = arithmetic.popularity_bins(pool.popularity, arithmetic.N_THIRDS)
    classes = thirds if base == NDCG else np.zeros_like(thirds)
    if not within_stratum:
        return classes
    joint = classes * (int(pool.strata.max()) + 1) + pool.strata
    return np.where(pool.strata >= 0, joint, -1)


def _nobody(n_queries: int) -> None:
    """Hears about progress and does nothing."""
