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
from cf_pipeline.benchmark.probe_metrics import PRIMARY, Measured, by_class, measured, paired
from cf_pipeline.metrics.intervals import Interval
from cf_pipeline.vectors import IndexedVectors, Progress, indexed, silent

log = logging.getLogger(__name__)

SCORE_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("task", "feature_set", "metric"), pl.String),
    **dict.fromkeys(("value", "low", "high"), pl.Float64),
    **dict.fromkeys(("n_train", "n_test"), pl.Int64),
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
class Probes:
    """Scores of every probe.

    Attributes:
        scores: rows of SCORE_SCHEMA; intervals are 95 % bootstrap over look components of test
            images.
        differences: rows of DIFFERENCE_SCHEMA, to every feature set that is a reference.
        classes: rows of CLASS_SCHEMA.
        results: task and feature set to everything the probe found.
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


def probe_feature_sets(
    images: pl.DataFrame,
    features: pl.DataFrame,
    config: BenchmarkConfig,
    progress: Progress = silent,
) -> Probes:
    """Probe every feature set on every task.

    Args:
        images: `task, image_id, label, split, look_component`.
        features: `task, image_id, feature_set, features`.
        config: seed and resamples.
        progress: hears probes done.

    Raises:
        DataError: an image without features, or a task that cannot be probed.

    Without any task the tables are empty.
    """
    pairs = features.select("task", "feature_set").unique()
    results: dict[tuple[str, str], ProbeResult] = {}
    scores: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    classes: list[dict[str, Any]] = []
    for task in pairs["task"].unique().sort():
        of_task = images.filter(task=task).sort("image_id")
        groups = _groups(of_task)
        found: dict[str, dict[str, Measured]] = {}
        for name in ordered(pairs.filter(task=task)["feature_set"].to_list()):
            rows = features.filter(task=task, feature_set=name)
            result = _probe(of_task, indexed(rows, "image_id", "features"), config.seed)
            results[task, name] = result
            for note in result.notes:
                log.warning("%s on %s: %s", name, task, note)
            found[name] = measured(result, groups, config.n_resamples, config.seed)
            named = {"task": task, "feature_set": name}
            n_test = len(result.image_ids)
            counts = {"n_train": of_task.height - n_test, "n_test": n_test}
            scores += [
                {**named, **_row(metric, each.interval, "value"), **counts}
                for metric, each in found[name].items()
            ]
            classes += [{**named, **row} for row in by_class(result)]
            progress(len(results), pairs.height, {})
        differences += [{"task": task, **row} for row in _differences(found)]
    return Probes(
        _table(scores, SCORE_SCHEMA),
        _table(differences, DIFFERENCE_SCHEMA),
        _table(classes, CLASS_SCHEMA),
        results,
    )


def summarize(probes: Probes) -> dict[str, float | str]:
    """The primary metric of every probe, the C that was chosen, and what a reader must know."""
    values = {
        (row["task"], row["feature_set"], row["metric"]): row["value"]
        for row in probes.scores.to_dicts()
    }
    figures: dict[str, float | str] = {}
    for (task, name), result in probes.results.items():
        figures[f"{task}_{name}"] = values[task, name, PRIMARY[result.multi_label]]
        figures[f"{task}_{name}_C"] = result.strength
        if result.notes:
            figures[f"{task}_{name}_notes"] = "; ".join(result.notes)
    return figures


def _probe(images: pl.DataFrame, vectors: IndexedVectors, seed: int) -> ProbeResult:
    train, test = (images.filter(split=split) for split in ("train", "test"))
    return linear_probe(_labelled(train, vectors), _labelled(test, vectors), seed=seed)


def _labelled(images: pl.DataFrame, vectors: IndexedVectors) -> Labelled:
    ids = images["image_id"].to_list()
    return Labelled(ids, vectors.rows(ids), [[label] for label in images["label"]])


def _groups(images: pl.DataFrame) -> Any:
    """Look component of each test image, as a number."""
    components = images.filter(split="test")["look_component"]
    return components.rank("dense").cast(pl.Int64).to_numpy()


def _differences(found: Mapping[str, Mapping[str, Measured]]) -> list[dict[str, Any]]:
    """Every feature set minus every other that is a reference, over the same resamples."""
    return [
        {
            "feature_set": name,
            "reference": reference,
            **_row(metric, paired(ours, found[reference][metric]), "difference"),
        }
        for name, measures in found.items()
        for reference in found
        if reference != name and feature_set(reference).is_reference
        for metric, ours in measures.items()
    ]


def _row(metric: str, interval: Interval, value: str) -> dict[str, Any]:
    return {"metric": metric, value: interval.value, "low": interval.low, "high": interval.high}


def _table(rows: list[dict[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    # NaN bounds say nothing about spread; other programs read null.
    return pl.DataFrame(rows, schema=schema).with_columns(pl.col(pl.Float64).fill_nan(None))
