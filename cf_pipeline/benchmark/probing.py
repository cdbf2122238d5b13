"""The linear probe over every task and feature set."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.linear_probe import ProbeResult, linear_probe
from cf_pipeline.vectors import IndexedVectors, Progress, indexed, silent

log = logging.getLogger(__name__)

_SCHEMA = {
    **dict.fromkeys(("task", "feature_set", "metric"), pl.String),
    **dict.fromkeys(("value", "low", "high"), pl.Float64),
    **dict.fromkeys(("n_train", "n_test"), pl.Int64),
}


@dataclass(frozen=True)
class Probes:
    """Scores of every probe.

    Attributes:
        table: `task, feature_set, metric, value, low, high, n_train, n_test`; intervals are 95 %
            bootstrap over look components of test images.
        results: task and feature set to everything the probe found.
    """

    table: pl.DataFrame
    results: Mapping[tuple[str, str], ProbeResult]


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

    Without any task the table is empty.
    """
    results: dict[tuple[str, str], ProbeResult] = {}
    rows = []
    pairs = features.select("task", "feature_set").unique().sort("task", "feature_set").rows()
    for done, (task, feature_set) in enumerate(pairs, start=1):
        of_task = images.filter(task=task).sort("image_id")
        vectors = indexed(
            features.filter(task=task, feature_set=feature_set), "image_id", "features"
        )
        result, groups = _probe(of_task, vectors, config.seed)
        results[task, feature_set] = result
        for note in result.notes:
            log.warning("%s on %s: %s", feature_set, task, note)
        intervals = result.intervals(
            groups=groups, n_resamples=config.n_resamples, seed=config.seed
        )
        n_test = len(result.labels)
        rows += [
            {
                "task": task,
                "feature_set": feature_set,
                "metric": metric,
                "value": interval.value,
                "low": interval.low,
                "high": interval.high,
                "n_train": of_task.height - n_test,
                "n_test": n_test,
            }
            for metric, interval in intervals.items()
        ]
        progress(done, len(pairs), {})
    # NaN bounds say nothing about spread; other programs read null.
    table = pl.DataFrame(rows, schema=_SCHEMA).with_columns(pl.col(pl.Float64).fill_nan(None))
    return Probes(table, results)


def summarize(probes: Probes) -> dict[str, float | str]:
    """Mean class accuracy of every probe, the C that was chosen, and what a reader must know."""
    figures: dict[str, float | str] = {}
    for (task, feature_set), result in probes.results.items():
        name = f"{task}_{feature_set}"
        figures[name] = result.metrics["mean_class_accuracy"]
        figures[f"{name}_C"] = result.strength
        if result.notes:
            figures[f"{name}_notes"] = "; ".join(result.notes)
    return figures


def _probe(
    images: pl.DataFrame, vectors: IndexedVectors, seed: int
) -> tuple[ProbeResult, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    halves = [images.filter(split=split) for split in ("train", "test")]
    train, test = halves
    result = linear_probe(
        vectors.rows(train["image_id"].to_list()),
        train["label"].to_list(),
        vectors.rows(test["image_id"].to_list()),
        test["label"].to_list(),
        seed=seed,
    )
    groups = test["look_component"].rank("dense").cast(pl.Int64).to_numpy()
    return result, groups
