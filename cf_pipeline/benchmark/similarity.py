"""Image similarity against co-engagement: the whole protocol, from tables to tables.

Validation chooses the layer, then every feature set is scored on validation and on test with the
same triplets, candidates and ties. `docs/evaluation.md` is the protocol in words.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from cf_pipeline.benchmark.choices import ChoiceMeasures, choose_layer
from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.feature_sets import (
    ENSEMBLE,
    IMAGENET,
    LATENT_FACTORS,
    LAYERS,
    SHIPPED,
    feature_set,
    ordered,
)
from cf_pipeline.benchmark.features import as_compared
from cf_pipeline.benchmark.forms import Form, form_table, forms_of
from cf_pipeline.benchmark.inputs import SimilarityInputs, train_ids
from cf_pipeline.benchmark.leaks import popularity_leaks
from cf_pipeline.benchmark.pool import Pool, build_pool, with_vectors
from cf_pipeline.benchmark.queries import (
    OnQueries,
    QueryCount,
    QueryValues,
    measures_of,
    score_features,
)
from cf_pipeline.benchmark.scorers import CosineScorer, Scorer, control_scorers
from cf_pipeline.benchmark.tables import query_table, score_tables
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.vectors import IndexedVectors, Progress, silent

SPLITS = ("validation", "test")
_LEAKING = (IMAGENET, *LAYERS, LATENT_FACTORS)
"""Whose correlations with popularity are told."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SimilarityTables:
    """What the protocol says.

    Attributes:
        scores: rows as in tables.SCORE_SCHEMA.
        differences: rows as in tables.DIFFERENCE_SCHEMA.
        queries: rows as in tables.QUERY_SCHEMA, what scores are means of.
        forms: rows as in forms.FORM_SCHEMA, one of them exported.
        leaks: rows as in leaks.LEAK_SCHEMA.
        chosen: the layer that carries the verdict.
        pools: `split, condition, count`: what each condition left out, and queries per measure
            that count and do not.
        n_train: projects that features were centred on.
        frozen: what nothing here was learned in: `imagenet`, or vectors in the place of covers.
    """

    scores: pl.DataFrame
    differences: pl.DataFrame
    queries: pl.DataFrame
    forms: pl.DataFrame
    leaks: pl.DataFrame
    chosen: str
    pools: pl.DataFrame
    n_train: int
    frozen: str = IMAGENET

    def rows_by_measure(self, split: str) -> Iterator[tuple[str, pl.DataFrame]]:
        """Each measure that is answered on a split, with its rows."""
        here = self.scores.filter(pl.col("split") == split, pl.col("n_queries") > 0)
        for measure in here["measure"].unique(maintain_order=True):
            yield measure, here.filter(measure=measure)


def similarity_tables(
    inputs: SimilarityInputs, config: BenchmarkConfig, progress: Progress = silent
) -> SimilarityTables:
    """Score every feature set on validation and test.

    Vectors from outside may lack a project: then all are scored on those that every set has, and
    the layer is chosen, and what ships centred, on all projects nevertheless.

    Args:
        inputs: tables and vectors.
        config: triplets, resamples, seed, bounds of the pools, form of the ImageNet features.
        progress: hears queries done of queries to do, over all measures and passes.

    Raises:
        DataError: a column or vector is missing, or too little is left to judge by.
    """
    judged = inputs.judged
    truth = build_truth(judged.events)
    brought = _brought(inputs)
    catalog, rules = judged.catalog(), judged.pool_rules(config)
    common = with_vectors(catalog, *brought.values())
    pools = {split: build_pool(truth, common, split, rules) for split in SPLITS}
    deciding = build_pool(truth, catalog, "validation", rules) if brought else pools["validation"]
    _tell_lacking(catalog, common)
    features = _compared(inputs, catalog, config)
    count = QueryCount(progress, _n_queries(deciding, pools))
    chosen, forms = _choose(deciding, features, config, count.add)
    values = [
        score_features(
            pool,
            _scorers(pool, features, chosen),
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
    _logger.info("chosen on validation: %s", chosen)
    return SimilarityTables(
        scores=pl.concat([scores for scores, _ in tables]),
        differences=pl.concat([differences for _, differences in tables]),
        queries=pl.concat([query_table(v) for v in values]),
        forms=forms,
        leaks=pl.concat([_leaks(pool, features) for pool in pools.values()]),
        chosen=chosen,
        pools=pl.concat([_summary(p, v) for p, v in zip(pools.values(), values, strict=True)]),
        n_train=len(train_ids(catalog)),
        frozen=inputs.frozen,
    )


def _brought(inputs: SimilarityInputs) -> dict[str, IndexedVectors]:
    """Sets that may lack a cover; what lacks a vector of those that ship is a fault to be told."""
    return {n: v for n, v in inputs.features.items() if feature_set(n) not in SHIPPED}


def _compared(
    inputs: SimilarityInputs, catalog: pl.DataFrame, config: BenchmarkConfig
) -> dict[str, IndexedVectors]:
    """Every set in the form in which it is compared."""
    train = train_ids(catalog)
    centred_on = {n: train_ids(with_vectors(catalog, v)) for n, v in _brought(inputs).items()}
    given = {**inputs.features, LATENT_FACTORS: inputs.judged.factors}
    return {
        name: as_compared(name, vectors, centred_on.get(name, train), config.imagenet_form)
        for name, vectors in given.items()
    }


def _leaks(pool: Pool, features: Mapping[str, IndexedVectors]) -> pl.DataFrame:
    there = {n: features[n].rows(pool.project_ids) for n in _LEAKING if n in features}
    return popularity_leaks(pool, there)


def _scorers(pool: Pool, features: Mapping[str, IndexedVectors], chosen: str) -> dict[str, Scorer]:
    """Every row of the scoreboard, in its order."""
    vectors = {name: of_set.rows(pool.project_ids) for name, of_set in features.items()}
    if IMAGENET in vectors:
        vectors[ENSEMBLE] = Form(chosen, IMAGENET).of(vectors)
    scorers = control_scorers(pool)
    scorers |= {name: CosineScorer.of(v) for name, v in vectors.items()}
    return {name: scorers[name] for name in ordered(scorers)}


def _choose(
    pool: Pool,
    features: Mapping[str, IndexedVectors],
    config: BenchmarkConfig,
    on_queries: OnQueries,
) -> tuple[str, pl.DataFrame]:
    """The layer that is better on the validation pool, and every form that may be exported."""
    measures = ChoiceMeasures.of(pool)
    vectors = {n: features[n].rows(pool.project_ids) for n in (*LAYERS, IMAGENET) if n in features}
    values = score_features(
        pool,
        {form.name: CosineScorer.of(form.of(vectors)) for form in forms_of(vectors)},
        (measures.first, measures.second),
        n_triplets=config.n_triplets,
        seed=config.seed,
        on_queries=on_queries,
    )
    return choose_layer(values, measures), form_table(values, measures)


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


def _tell_lacking(catalog: pl.DataFrame, common: pl.DataFrame) -> None:
    everybody, compared = (int(each["readable"].sum()) for each in (catalog, common))
    if compared < everybody:
        _logger.warning(
            "features from outside lack vectors: scores are of %d projects of %d",
            compared,
            everybody,
        )


def _n_queries(deciding: Pool, pools: Mapping[str, Pool]) -> int:
    """Queries over all measures and passes: two measures choose, then all are reported."""
    reported = sum(len(pool.queries) * len(measures_of(pool)) for pool in pools.values())
    return 2 * len(deciding.queries) + reported
