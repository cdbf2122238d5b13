"""Does a newly trained model take the champion's place?

Challenger, champion and the best model so far are scored side by side on the current test projects
that none of them was trained on, with one truth, one pool, the same triplets and ties. Asking for
no loss against the best as well keeps small losses from adding up over many retrainings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from cf_pipeline.benchmark.choices import LAYERS, ChoiceMeasures
from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.features import centred_on
from cf_pipeline.benchmark.inputs import PoolInputs, train_ids
from cf_pipeline.benchmark.pool import Pool, find_pool
from cf_pipeline.benchmark.queries import QueryCount, QueryValues, score_features
from cf_pipeline.benchmark.scorers import CosineScorer
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.intervals import paired_group_bootstrap
from cf_pipeline.vectors import IndexedVectors, Progress, silent

SPLIT = "test"
COMPARISON_SCHEMA = {
    "model_version": pl.String,
    "reference_role": pl.String,
    "reference_version": pl.String,
    "measure": pl.String,
    "value": pl.Float64,
    "reference_value": pl.Float64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n_queries": pl.Int64,
    "n_groups": pl.Int64,
}


@dataclass(frozen=True)
class Candidate:
    """A model that may serve.

    Attributes:
        model_version: its id.
        layer: `collaborative` or `predicted_factors`, the layer chosen for it on validation.
        vectors: of that layer as the network gives them, for every readable cover.
        trained_on: projects that it learned from, or that a model learned from whose weights it
            continued.

    Raises:
        DataError: another layer.
    """

    model_version: str
    layer: str
    vectors: IndexedVectors
    trained_on: frozenset[str]

    def __post_init__(self) -> None:
        if self.layer not in LAYERS:
            raise DataError(
                f"model {self.model_version} is judged by one of the layers {list(LAYERS)}, got "
                f"{self.layer!r}. Materialize similarity_scores of that model again."
            )


@dataclass(frozen=True)
class Comparison:
    """Challenger minus each of the others.

    Attributes:
        challenger: model_version.
        champion: model_version, None before the first promotion.
        best: model_version of the best model before this comparison, None likewise.
        table: rows of COMPARISON_SCHEMA; a measure that no query can answer has null for its
            figures and 0 queries, with fewer than two groups the bounds are null. Empty where
            there is nothing to compare with, or nothing to compare on.
        means: model_version to the mean of its primary measures, of every model that was scored.
        n_pool: projects that were judged.
        n_trained_on: test projects left out because one of the models was trained on them.
    """

    challenger: str
    champion: str | None
    best: str | None
    table: pl.DataFrame
    means: Mapping[str, float]
    n_pool: int
    n_trained_on: int


def compare_models(
    inputs: PoolInputs,
    challenger: Candidate,
    champion: Candidate | None,
    best: Candidate | None,
    config: BenchmarkConfig,
    progress: Progress = silent,
) -> Comparison:
    """Score challenger, champion and best on what is new to all of them.

    Args:
        inputs: current tables; `collaborative` vectors are centred on the train projects there.
        challenger: the newest model.
        champion: the model that serves, None where none does yet.
        best: the best so far; None, or the champion again, where it is that one.
        config: triplets, resamples, seed.
        progress: hears queries done of queries to do.

    Raises:
        DataError: a column or vector is missing, or there is no train project to centre on.
    """
    if champion is None or champion.model_version == challenger.model_version:
        return _uncompared(challenger, champion, best)
    best = best or champion
    candidates = {c.model_version: c for c in (best, champion, challenger)}
    catalog = inputs.catalog()
    seen = pl.col("project_id").is_in(
        _trained_on(candidates.values(), inputs.representatives).implode()
    )
    # Before one project stands for its look group: another of the group may be new to all.
    pool = find_pool(build_truth(inputs.events), catalog.filter(~seen), SPLIT, inputs.min_degree)
    references = [("champion", champion.model_version), ("best", best.model_version)]
    rows: list[dict[str, Any]] = []
    means: dict[str, float] = {}
    if len(pool.project_ids) > 1:
        values = _score(pool, candidates, train_ids(catalog), config, progress)
        means = _means(values)
        for role, reference in references:
            if reference != challenger.model_version:
                rows += _rows(values, challenger.model_version, role, reference, config)
    return Comparison(
        challenger=challenger.model_version,
        champion=champion.model_version,
        best=best.model_version,
        table=pl.DataFrame(rows, schema=COMPARISON_SCHEMA).with_columns(
            pl.col(pl.Float64).fill_nan(None)
        ),
        means=means,
        n_pool=len(pool.project_ids),
        n_trained_on=catalog.filter((pl.col("split") == SPLIT) & seen).height,
    )


def _uncompared(
    challenger: Candidate, champion: Candidate | None, best: Candidate | None
) -> Comparison:
    return Comparison(
        challenger=challenger.model_version,
        champion=champion.model_version if champion else None,
        best=best.model_version if best else None,
        table=pl.DataFrame(schema=COMPARISON_SCHEMA),
        means={},
        n_pool=0,
        n_trained_on=0,
    )


def _trained_on(candidates: Iterable[Candidate], representatives: pl.DataFrame) -> pl.Series:
    """Projects that a candidate was trained on, each under the id that stands for it today."""
    ids = sorted(frozenset[str]().union(*(c.trained_on for c in candidates)))
    known = pl.DataFrame({"project_id": ids}, schema={"project_id": pl.String}).join(
        representatives, on="project_id", how="left"
    )
    return known.select(pl.coalesce("representative", "project_id"))["representative"].unique()


def _score(
    pool: Pool,
    candidates: Mapping[str, Candidate],
    train: tuple[str, ...],
    config: BenchmarkConfig,
    progress: Progress,
) -> QueryValues:
    """The primary measures of every candidate by its chosen layer."""
    measures = ChoiceMeasures.of(pool)
    scorers = {}
    for version, candidate in candidates.items():
        vectors = candidate.vectors
        if candidate.layer == "collaborative":
            vectors = centred_on(train, vectors)
        scorers[version] = CosineScorer.of(vectors.rows(pool.project_ids))
    count = QueryCount(progress, 2 * len(pool.project_ids))
    return score_features(
        pool,
        scorers,
        (measures.second, measures.first),
        n_triplets=config.n_triplets,
        seed=config.seed,
        on_queries=count.add,
    )


def _means(values: QueryValues) -> dict[str, float]:
    """Mean of the measures that have queries, by model_version; empty where none has."""
    answered = [m for m, columns in values.values.items() if not np.isnan(columns).all()]
    if not answered:
        return {}
    return {
        version: float(np.mean([values.mean(version, measure) for measure in answered]))
        for version in values.feature_sets
    }


def _rows(
    values: QueryValues, challenger: str, role: str, reference: str, config: BenchmarkConfig
) -> Iterator[dict[str, Any]]:
    """Challenger minus one reference, every measure, the same groups drawn for both."""
    ours, theirs = (values.feature_sets.index(version) for version in (challenger, reference))
    for measure, columns in values.values.items():
        interval = paired_group_bootstrap(
            columns[:, ours], columns[:, theirs], values.groups, config.n_resamples, config.seed
        )
        yield {
            "model_version": challenger,
            "reference_role": role,
            "reference_version": reference,
            "measure": measure,
            "value": values.mean(challenger, measure),
            "reference_value": values.mean(reference, measure),
            "difference": interval.value,
            "low": interval.low,
            "high": interval.high,
            "n_queries": interval.n_queries,
            "n_groups": interval.n_groups,
        }
