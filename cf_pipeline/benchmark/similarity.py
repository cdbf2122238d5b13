"""Image similarity against co-engagement: the whole protocol, from tables to tables.

Validation chooses (layer, ridge strength), then every feature set is scored on validation and on
test with the same triplets, candidates and ties. `docs/evaluation.md` is the protocol in words.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from cf_pipeline.benchmark.choices import LAYERS, ChoiceMeasures, choose_layer, choose_strength
from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.features import centred_on, ensemble, formed_on
from cf_pipeline.benchmark.inputs import PoolInputs, train_ids
from cf_pipeline.benchmark.pool import Pool, build_pool
from cf_pipeline.benchmark.queries import (
    OnQueries,
    QueryCount,
    QueryValues,
    measures_of,
    score_features,
)
from cf_pipeline.benchmark.ridge import STRENGTHS, RidgePath, fit_ridge
from cf_pipeline.benchmark.scorers import CosineScorer, PopularityScorer, Scorer, SharedScorer
from cf_pipeline.benchmark.tables import score_tables
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.errors import DataError
from cf_pipeline.vectors import IndexedVectors, Progress, silent

REQUIRED = ("random", "color", "imagenet", *LAYERS)
"""Feature sets that the protocol cannot do without; others are scored as they are."""
SPLITS = ("validation", "test")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SimilarityInputs(PoolInputs):
    """What the protocol reads.

    Attributes:
        features: feature set to its vectors, at least those in REQUIRED, for every readable cover.
    """

    features: Mapping[str, IndexedVectors]

    def __post_init__(self) -> None:
        missing = [name for name in REQUIRED if name not in self.features]
        if missing:
            raise DataError(
                f"similarity needs the feature sets {list(REQUIRED)}, {missing} are missing. "
                "Materialize the assets that make them."
            )


@dataclass(frozen=True)
class SimilarityTables:
    """What the protocol says.

    Attributes:
        scores: rows as in tables.SCORE_SCHEMA.
        differences: rows as in tables.DIFFERENCE_SCHEMA.
        chosen: the layer that carries the verdict.
        ridge_strength: of `imagenet_ridge`, in units of the mean eigenvalue.
        pools: `split, condition, count`: what each condition left out, and queries per measure
            that count and do not.
        n_train: projects that features were centred on and the ridge was fitted to.
    """

    scores: pl.DataFrame
    differences: pl.DataFrame
    chosen: str
    ridge_strength: float
    pools: pl.DataFrame
    n_train: int

    def rows_by_measure(self, split: str) -> Iterator[tuple[str, pl.DataFrame]]:
        """Each measure that is answered on a split, with its rows."""
        here = self.scores.filter(pl.col("split") == split, pl.col("n_queries") > 0)
        for measure in here["measure"].unique(maintain_order=True):
            yield measure, here.filter(measure=measure)


def similarity_tables(
    inputs: SimilarityInputs, config: BenchmarkConfig, progress: Progress = silent
) -> SimilarityTables:
    """Score every feature set on validation and test.

    Args:
        inputs: tables and vectors.
        config: triplets, resamples, seed, form of the ImageNet features.
        progress: hears queries done of queries to do, over all measures and passes.

    Raises:
        DataError: a column, vector or feature set is missing, or too little is left to judge by.
    """
    truth = build_truth(inputs.events)
    catalog = inputs.catalog()
    pools = {split: build_pool(truth, catalog, split, inputs.min_degree) for split in SPLITS}
    train = train_ids(catalog)
    prepared = _Prepared.of(inputs, train, config)
    count = QueryCount(progress, _n_queries(pools))
    chosen, strength = _choose(pools["validation"], prepared, config, count.add)
    values = [
        score_features(
            pool,
            prepared.scorers(pool, chosen, strength),
            measures_of(pool),
            n_triplets=config.n_triplets,
            seed=config.seed,
            on_queries=count.add,
        )
        for pool in pools.values()
    ]
    tables = [
        score_tables(v, chosen=chosen, n_resamples=config.n_resamples, seed=config.seed)
        for v in values
    ]
    _logger.info("chosen on validation: %s, ridge strength %g", chosen, strength)
    return SimilarityTables(
        scores=pl.concat([scores for scores, _ in tables]),
        differences=pl.concat([differences for _, differences in tables]),
        chosen=chosen,
        ridge_strength=strength,
        pools=pl.concat([_summary(p, v) for p, v in zip(pools.values(), values, strict=True)]),
        n_train=len(train),
    )


@dataclass(frozen=True)
class _Prepared:
    """Feature sets in the form in which cosines are taken, over all ids they have."""

    features: Mapping[str, IndexedVectors]
    ridge: RidgePath

    @classmethod
    def of(
        cls, inputs: SimilarityInputs, train: tuple[str, ...], config: BenchmarkConfig
    ) -> _Prepared:
        given = inputs.features
        features = {
            **given,
            "imagenet": formed_on(config.imagenet_form, train, given["imagenet"]),
            "collaborative": centred_on(train, given["collaborative"]),
            "latent_factors": centred_on(train, inputs.factors),
        }
        ridge = fit_ridge(features["imagenet"].rows(train), inputs.factors.rows(train))
        return cls(features, ridge)

    def scorers(self, pool: Pool, chosen: str, strength: float) -> dict[str, Scorer]:
        """Every row of the scoreboard, in its order."""
        vectors = {name: f.rows(pool.project_ids) for name, f in self.features.items()}
        derived = {
            "imagenet_ridge": self.ridge.predict(vectors["imagenet"], strength),
            "ensemble": ensemble(vectors[chosen], vectors["imagenet"]),
        }
        order = ("random", "color", "imagenet", "imagenet_ridge", *LAYERS, "ensemble")
        others = sorted(set(vectors) - set(order) - {"latent_factors"})
        cosines = {**vectors, **derived}
        return {
            "chance": PopularityScorer(pool.popularity * 0),
            "popularity": PopularityScorer(pool.popularity),
            "owner": SharedScorer(pool.provenance),
            **{n: CosineScorer.of(cosines[n]) for n in (*order, *others, "latent_factors")},
        }


def _choose(
    pool: Pool, prepared: _Prepared, config: BenchmarkConfig, on_queries: OnQueries
) -> tuple[str, float]:
    """Layer and ridge strength by the validation pool."""
    measures = ChoiceMeasures.of(pool)
    imagenet = prepared.features["imagenet"].rows(pool.project_ids)
    strengths = {f"imagenet_ridge at {s:g}": s for s in STRENGTHS}
    vectors = {layer: prepared.features[layer].rows(pool.project_ids) for layer in LAYERS}
    vectors |= {name: prepared.ridge.predict(imagenet, s) for name, s in strengths.items()}
    values = score_features(
        pool,
        {name: CosineScorer.of(v) for name, v in vectors.items()},
        (measures.first, measures.second),
        n_triplets=config.n_triplets,
        seed=config.seed,
        on_queries=on_queries,
    )
    strength = strengths[choose_strength(values, tuple(strengths), measures)]
    return choose_layer(values, measures), strength


def _summary(pool: Pool, values: QueryValues) -> pl.DataFrame:
    """`split, condition, count` of projects and queries left out."""
    counts = dict(pool.counts)
    for measure, columns in values.values.items():
        answered = int((~np.isnan(columns)).all(axis=1).sum())
        counts[f"queries of {measure}"] = answered
        counts[f"queries left out of {measure}"] = len(columns) - answered
    return pl.DataFrame(
        {"split": [pool.split] * len(counts), "condition": list(counts), "count": counts.values()},
        schema={"split": pl.String, "condition": pl.String, "count": pl.Int64},
    )


def _n_queries(pools: Mapping[str, Pool]) -> int:
    """Queries over all measures and passes: two measures choose, then all are reported."""
    n = {split: len(pool.project_ids) for split, pool in pools.items()}
    reported = sum(n[split] * len(measures_of(pool)) for split, pool in pools.items())
    return 2 * n["validation"] + reported
