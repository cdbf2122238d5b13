"""How a newly trained model compares with the one that serves and with the best so far.

All are scored side by side on current projects that none of their networks was fitted to, with one
truth, one pool, the same triplets and ties. Validation is what `deciding` goes by; test is scored
in the same way, to be read, and chooses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cf_pipeline.benchmark.choices import ChoiceMeasures
from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.feature_sets import LAYERS
from cf_pipeline.benchmark.features import as_compared
from cf_pipeline.benchmark.inputs import PoolInputs, train_ids
from cf_pipeline.benchmark.pool import Pool, find_pool
from cf_pipeline.benchmark.queries import QueryCount, QueryValues, score_features
from cf_pipeline.benchmark.scorers import CosineScorer
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.intervals import paired_group_bootstrap
from cf_pipeline.vectors import IndexedVectors, Progress, silent

DECIDING = "validation"
SPLITS = (DECIDING, "test")
COMPARISON_SCHEMA = {
    "model_version": pl.String,
    "split": pl.String,
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
_ERROR = 0.05
"""What the intervals of one comparison leave outside, shared among its references."""


@dataclass(frozen=True)
class Candidate:
    """A model that may serve.

    Attributes:
        model_version: its id.
        layer: `collaborative` or `predicted_factors`, the layer chosen for it on validation.
        vectors: of that layer as the network gives them, for every readable cover.
        trained_on: projects that its network was fitted to, or that a network was whose weights
            it continued: what fitted_projects returns. Projects that only stopped it early, or
            chose its layer, are not among them.

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
        challenger: model_version of the newest model.
        champion: of the model that serves, None where none does yet.
        best: of the best so far, None where there is no champion.
        table: rows of COMPARISON_SCHEMA by split; without any where there is nothing to compare
            with or on. A measure that no query can answer has null figures and 0 queries.
        n_pool: validation projects that were judged.
        n_trained_on: validation projects left out because one of the networks was fitted to them.
    """

    challenger: str
    champion: str | None
    best: str | None
    table: pl.DataFrame
    n_pool: int
    n_trained_on: int


def fitted_projects(trained_on: pl.DataFrame, splits: pl.DataFrame) -> frozenset[str]:
    """The projects that a network was fitted to, of all that it has seen.

    Args:
        trained_on: rows of one model, `project_id, split`.
        splits: `project_id, split`, as it is today.
    """
    # Validation projects choose the epoch of every model alike, which favours none of them. Rows
    # that release 0.1.0 wrote do not say which was which: there a project counts as fitted unless
    # it is validation today, since a project moves only where two components merge.
    today = splits.rename({"split": "today"})
    known = trained_on.select("project_id", "split").join(today, on="project_id", how="left")
    was = pl.coalesce(
        "split", pl.when(pl.col("today") == DECIDING).then(pl.lit(DECIDING)), pl.lit("train")
    )
    return frozenset(known.filter(was == "train")["project_id"])


def compare_models(
    inputs: PoolInputs,
    challenger: Candidate,
    champion: Candidate | None,
    best: Candidate | None,
    config: BenchmarkConfig,
    progress: Progress = silent,
) -> Comparison:
    """Score challenger, champion and best on what none of them was fitted to.

    Args:
        inputs: current tables; `collaborative` vectors are centred on the train projects there.
        challenger: the newest model.
        champion: the model that serves, None where none does yet.
        best: the best so far; None, or the champion again, where it is that one.
        config: triplets, resamples, seed, bounds of the pools.
        progress: hears queries done of queries to do.

    Raises:
        DataError: a column or vector is missing, or there is no train project to centre on.
    """
    if champion is None or champion.model_version == challenger.model_version:
        return Comparison(
            challenger=challenger.model_version,
            champion=champion.model_version if champion else None,
            best=best.model_version if best else None,
            table=pl.DataFrame(schema=COMPARISON_SCHEMA),
            n_pool=0,
            n_trained_on=0,
        )
    best = best or champion
    candidates = {c.model_version: c for c in (best, champion, challenger)}
    catalog = inputs.catalog()
    seen = pl.col("project_id").is_in(
        _trained_on(candidates.values(), inputs.representatives).implode()
    )
    truth, rules = build_truth(inputs.events), inputs.pool_rules(config)
    # Before one project stands for its look group: another of the group may be new to all.
    new = catalog.filter(~seen)
    pools = {split: find_pool(truth, new, split, rules) for split in SPLITS}
    scored = [pool for pool in pools.values() if len(pool.project_ids) > 1]
    count = QueryCount(progress, 2 * sum(len(pool.queries) for pool in scored))
    references = {"champion": champion.model_version, "best": best.model_version}
    tables = [
        compared(
            _score(pool, candidates, train_ids(catalog), config, count),
            challenger.model_version,
            references,
            config,
        )
        for pool in scored
    ]
    return Comparison(
        challenger=challenger.model_version,
        champion=champion.model_version,
        best=best.model_version,
        table=pl.concat([pl.DataFrame(schema=COMPARISON_SCHEMA), *tables]),
        n_pool=len(pools[DECIDING].project_ids),
        n_trained_on=catalog.filter((pl.col("split") == DECIDING) & seen).height,
    )


def compared(
    values: QueryValues, challenger: str, references: Mapping[str, str], config: BenchmarkConfig
) -> pl.DataFrame:
    """Rows of COMPARISON_SCHEMA of one split.

    Args:
        values: primary measures, a column for every model version.
        challenger: its version.
        references: role to version; the challenger in a role is left out.
        config: resamples and seed.

    Returns:
        Challenger minus each reference, every measure, the same groups drawn for both. The
        intervals are of 95 % against one reference and of 97.5 % against each of two, so that a
        challenger as good as both is called worse no more often.
    """
    roles = {role: version for role, version in references.items() if version != challenger}
    level = 1 - _ERROR / max(1, len(set(roles.values())))
    rows = [
        row
        for role, reference in roles.items()
        for row in _rows(values, (challenger, role, reference), config, level)
    ]
    table = pl.DataFrame(rows, schema=COMPARISON_SCHEMA)
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def _rows(
    values: QueryValues, names: Sequence[str], config: BenchmarkConfig, level: float
) -> Iterator[dict[str, Any]]:
    challenger, role, reference = names
    ours, theirs = (values.feature_sets.index(version) for version in (challenger, reference))
    for measure, columns in values.values.items():
        interval = paired_group_bootstrap(
            columns[:, ours],
            columns[:, theirs],
            values.groups,
            config.n_resamples,
            config.seed,
            level,
        )
        yield {
            "model_version": challenger,
            "split": values.split,
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


def _trained_on(candidates: Iterable[Candidate], representatives: pl.DataFrame) -> pl.Series:
    """Projects that a candidate was fitted to, each under the id that stands for it today."""
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
    count: QueryCount,
) -> QueryValues:
    """The primary measures of every candidate by its chosen layer."""
    measures = ChoiceMeasures.of(pool)
    scorers = {}
    for version, candidate in candidates.items():
        vectors = as_compared(candidate.layer, candidate.vectors, train, config.imagenet_form)
        scorers[version] = CosineScorer.of(vectors.rows(pool.project_ids))
    return score_features(
        pool,
        scorers,
        (measures.second, measures.first),
        n_triplets=config.n_triplets,
        seed=config.seed,
        on_queries=count.add,
    )
