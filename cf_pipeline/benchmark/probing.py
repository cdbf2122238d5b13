"""The probe over every task and feature set: scores, differences, and class by class."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.feature_sets import feature_set, ordered
from cf_pipeline.benchmark.linear_probe import Labelled, ProbeResult, linear_probe
from cf_pipeline.benchmark.primary import PRIMARY
from cf_pipeline.benchmark.probe_metrics import (
    Measured,
    by_class,
    measured,
    over_draws,
    paired,
)
from cf_pipeline.benchmark.probe_notes import Origins, note
from cf_pipeline.metrics.intervals import Interval
from cf_pipeline.vectors import IndexedVectors, Progress, indexed, silent

log = logging.getLogger(__name__)

OF_TASK = ("variant", "split_rule", "n_listed", "n_found", "n_used", "n_draws")
SCORE_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("task", "feature_set", "metric"), pl.String),
    **dict.fromkeys(("value", "low", "high"), pl.Float64),
    **dict.fromkeys(("n_train", "n_test"), pl.Int64),
    **dict.fromkeys(OF_TASK[:2], pl.String),
    **dict.fromkeys(OF_TASK[2:], pl.Int64),
    "deviation": pl.Float64,
    "note": pl.String,
}
DIFFERENCE_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("task", "feature_set", "reference", "metric"), pl.String),
    **dict.fromkeys(("difference", "low", "high"), pl.Float64),
}
CLASS_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("task", "feature_set", "metric", "class"), pl.String),
    "value": pl.Float64,
    "n_test": pl.Int64,
}


@dataclass(frozen=True)
class ProbeInputs:
    """What is probed.

    Attributes:
        images: `task, image_id, labels, split, look_component`.
        draws: `task, draw, image_id, split`, the second and further ones.
        facts: a row a task: those of OF_TASK, `told` and `n_covers`.
        features: `task, image_id, feature_set, features`.
        stands_on: what feature sets stand on.
        trained_on: task to the tasks that its meta-classes were learned from.
    """

    images: pl.DataFrame
    draws: pl.DataFrame
    facts: pl.DataFrame
    features: pl.DataFrame
    stands_on: Origins
    trained_on: Mapping[str, tuple[str, ...]]

    def splits(self, task: str) -> list[pl.DataFrame]:
        """Images of a task by id, once a draw, without those that a draw leaves out."""
        images = self.images.filter(task=task).sort("image_id")
        further = self.draws.filter(task=task).partition_by("draw", maintain_order=True)
        sides = [draw.select("image_id", "split") for draw in further]
        of_draws = [images, *(images.drop("split").join(side, on="image_id") for side in sides)]
        return [draw.filter(pl.col("split").is_in(("train", "test"))) for draw in of_draws]


@dataclass(frozen=True)
class Probes:
    """Scores of every probe.

    Attributes:
        scores: rows of SCORE_SCHEMA; intervals are 95 % bootstrap over look components of test
            images.
        differences: rows of DIFFERENCE_SCHEMA, to every feature set that is a reference.
        classes: rows of CLASS_SCHEMA.
        results: task and feature set to everything the probe found, of the first draw.
    """

    scores: pl.DataFrame
    differences: pl.DataFrame
    classes: pl.DataFrame
    results: Mapping[tuple[str, str], ProbeResult]

    def tables(self, model: str) -> dict[str, pl.DataFrame]:
        """Rows of benchmark_scores and its companions."""
        named = {"scores": self.scores, "differences": self.differences, "classes": self.classes}
        return {
            f"benchmark_{name}": table.with_columns(model_version=pl.lit(model))
            for name, table in named.items()
        }

    def primary(self) -> Iterator[tuple[str, str, pl.DataFrame]]:
        """Each task with the metric that it is told by, and its rows of scores."""
        kinds = {task: result.multi_label for (task, _), result in self.results.items()}
        for task, multi_label in kinds.items():
            metric = PRIMARY[multi_label]
            yield task, metric, self.scores.filter(task=task, metric=metric)


@dataclass(frozen=True)
class _Probed:
    """A feature set on a task: results and measures of each draw."""

    results: list[ProbeResult]
    measures: list[dict[str, Measured]]

    def of(self, metric: str) -> list[Measured]:
        return [measures[metric] for measures in self.measures]

    @property
    def metrics(self) -> list[str]:
        return list(self.measures[0])


def probe_feature_sets(
    inputs: ProbeInputs, config: BenchmarkConfig, progress: Progress = silent
) -> Probes:
    """Probe every feature set on every task; without any the tables are empty.

    Args:
        inputs: tasks and features.
        config: seed and resamples.
        progress: hears probes done.

    Raises:
        DataError: an image without features, or a task that cannot be probed.
    """
    pairs = inputs.features.select("task", "feature_set").unique()
    results: dict[tuple[str, str], ProbeResult] = {}
    scores: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    classes: list[dict[str, Any]] = []
    for task in pairs["task"].unique().sort():
        splits = inputs.splits(task)
        probed: dict[str, _Probed] = {}
        for name in ordered(pairs.filter(task=task)["feature_set"].to_list()):
            rows = inputs.features.filter(task=task, feature_set=name)
            found = _probed(splits, indexed(rows, "image_id", "features"), config)
            probed[name], results[task, name] = found, found.results[0]
            for said in found.results[0].notes:
                log.warning("%s on %s: %s", name, task, said)
            scores += _scores(inputs, task, name, found, splits[0])
            classes += [
                {"task": task, "feature_set": name, **row}
                for result in found.results
                for row in by_class(result)
            ]
            progress(len(results), pairs.height, {})
        differences += [{"task": task, **row} for row in _differences(probed)]
    keys = [*CLASS_SCHEMA][:4]
    means = _table(classes, CLASS_SCHEMA).group_by(keys, maintain_order=True)
    return Probes(
        _table(scores, SCORE_SCHEMA),
        _table(differences, DIFFERENCE_SCHEMA),
        means.agg(pl.col("value").mean(), pl.col("n_test").first()),
        results,
    )


def summarize(probes: Probes) -> dict[str, float | str]:
    """The primary metric of every probe, the C that was chosen, and what a reader must know."""
    rows = {
        (row["task"], row["feature_set"], row["metric"]): row for row in probes.scores.to_dicts()
    }
    figures: dict[str, float | str] = {}
    for (task, name), result in probes.results.items():
        row = rows[task, name, PRIMARY[result.multi_label]]
        figures[f"{task}_{name}"] = row["value"]
        figures[f"{task}_{name}_C"] = result.strength
        if said := [*result.notes, *([row["note"]] if row["note"] else [])]:
            figures[f"{task}_{name}_notes"] = "; ".join(said)
    return figures


def _probed(
    splits: list[pl.DataFrame], vectors: IndexedVectors, config: BenchmarkConfig
) -> _Probed:
    results, measures = [], []
    for images in splits:
        train, test = (_labelled(images.filter(split=side), vectors) for side in ("train", "test"))
        result = linear_probe(train, test, seed=config.seed)
        results.append(result)
        measures.append(measured(result, _groups(images), config.n_resamples, config.seed))
    return _Probed(results, measures)


def _labelled(images: pl.DataFrame, vectors: IndexedVectors) -> Labelled:
    ids = images["image_id"].to_list()
    return Labelled(ids, vectors.rows(ids), images["labels"].to_list())


def _groups(images: pl.DataFrame) -> Any:
    """Look component of each test image, as a number."""
    components = images.filter(split="test")["look_component"]
    return components.rank("dense").cast(pl.Int64).to_numpy()


def _scores(
    inputs: ProbeInputs, task: str, name: str, found: _Probed, images: pl.DataFrame
) -> Iterator[dict[str, Any]]:
    """A row a metric."""
    [facts] = inputs.facts.filter(task=task).to_dicts()
    n_test = len(found.results[0].image_ids)
    shared = {
        "task": task,
        "feature_set": name,
        "n_train": images.height - n_test,
        "n_test": n_test,
        **{fact: facts[fact] for fact in OF_TASK},
        "note": note(name, facts, inputs.stands_on, inputs.trained_on.get(task, ())),
    }
    for metric in found.metrics:
        interval, deviation = over_draws(found.of(metric))
        yield {**shared, **_row(metric, interval, "value"), "deviation": deviation}


def _differences(probed: Mapping[str, _Probed]) -> list[dict[str, Any]]:
    """Every feature set minus every other that is a reference, over the same resamples."""
    return [
        {
            "feature_set": name,
            "reference": reference,
            **_row(metric, paired(ours.of(metric), probed[reference].of(metric)), "difference"),
        }
        for name, ours in probed.items()
        for reference in probed
        if reference != name and feature_set(reference).is_reference
        for metric in ours.metrics
    ]


def _row(metric: str, interval: Interval, value: str) -> dict[str, Any]:
    return {"metric": metric, value: interval.value, "low": interval.low, "high": interval.high}


def _table(rows: list[dict[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    # NaN bounds say nothing about spread; other programs read null.
    return pl.DataFrame(rows, schema=schema).with_columns(pl.col(pl.Float64).fill_nan(None))
