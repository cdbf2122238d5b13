"""What a probe's scores are worth: measures with intervals, class by class, and in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cf_pipeline.benchmark.linear_probe import ProbeResult
from cf_pipeline.metrics.average_precision import (
    average_precisions,
    balanced_rows,
    mean_average_precision_bootstrap,
)
from cf_pipeline.metrics.classification import class_accuracies
from cf_pipeline.metrics.intervals import (
    Interval,
    group_bootstrap,
    mean_class_accuracy_bootstrap,
    percentiles,
    resampled_means,
)
from cf_pipeline.metrics.keyed import id_keys
from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import Indices

_MOST_OF_AP = 500
"""Resamples of average precision, each of which ranks anew."""


@dataclass(frozen=True)
class Measured:
    """A metric with its interval, and its value in every resample, to be subtracted in pairs."""

    interval: Interval
    resampled: Floats


def measured(
    result: ProbeResult, groups: Indices, n_resamples: int, seed: int
) -> dict[str, Measured]:
    """Metrics of a probe.

    Of one label an image: accuracy, mean class accuracy, accuracy by nearest neighbours. Of any:
    mean average precision, on all of test and on as many images of each class.

    Args:
        result: scored on test.
        groups: test images that are drawn together, shape (n_test,).
        n_resamples: bootstrap resamples, of average precision fewer.
        seed: of draws, and of which images of a large class are left out.
    """
    found: dict[str, Measured] = {}
    if not result.multi_label:
        for name, guessed in (
            ("accuracy", result.predictions),
            ("knn_accuracy", result.neighbours),
        ):
            hits = (guessed == result.labels).astype(np.float64)
            interval = group_bootstrap(hits, groups, n_resamples, seed)
            drawn = resampled_means(hits[:, np.newaxis], groups, n_resamples, seed)[:, 0]
            found[name] = Measured(interval, drawn)
        is_correct = result.predictions == result.labels
        by_class = mean_class_accuracy_bootstrap(
            is_correct, result.labels, groups, n_resamples, seed
        )
        found["mean_class_accuracy"] = Measured(*by_class)
    n_of_ap = min(n_resamples, _MOST_OF_AP)
    balanced = balanced_rows(result.positives, id_keys(result.image_ids, seed))
    for name, rows in (("map", np.arange(len(groups))), ("balanced_map", balanced)):
        found[name] = Measured(
            *mean_average_precision_bootstrap(
                result.scores[rows], result.positives[rows], groups[rows], n_of_ap, seed
            )
        )
    return found


def over_draws(of_draws: Sequence[Measured]) -> tuple[Interval, float | None]:
    """The mean over draws, and how far they lie apart (standard deviation; None of one draw).

    Draws score pictures again, so the ends of the interval are means as well: many draws make it
    no narrower than the pictures allow.
    """
    intervals = [measured.interval for measured in of_draws]
    spread = float(np.std([i.value for i in intervals], ddof=1)) if len(intervals) > 1 else None
    return _mean(intervals), spread


def _mean(intervals: Sequence[Interval]) -> Interval:
    first = intervals[0]
    value, low, high = (
        float(np.mean([getattr(i, name) for i in intervals])) for name in ("value", "low", "high")
    )
    return Interval(value, low, high, first.n_queries, first.n_groups)


def by_class(result: ProbeResult) -> list[dict[str, object]]:
    """`class, metric, value, n_test` of every class: accuracy of one label, average precision."""
    n_test = result.positives.sum(axis=0)
    columns = {"average_precision": average_precisions(result.scores, result.positives)}
    if not result.multi_label:
        columns["accuracy"] = class_accuracies(result.confusion)
    return [
        {"class": name, "metric": metric, "value": float(values[n]), "n_test": int(n_test[n])}
        for metric, values in columns.items()
        for n, name in enumerate(result.classes)
    ]


def paired(ours: Sequence[Measured], theirs: Sequence[Measured]) -> Interval:
    """The difference of a metric of two probes of the same images, over the same resamples.

    Args:
        ours: of each draw.
        theirs: of the same draws.
    """
    return _mean([_paired(a, b) for a, b in zip(ours, theirs, strict=True)])


def _paired(ours: Measured, theirs: Measured) -> Interval:
    low, high = percentiles((ours.resampled - theirs.resampled)[:, np.newaxis])
    value = ours.interval.value - theirs.interval.value
    counts = ours.interval
    return Interval(value, float(low[0]), float(high[0]), counts.n_queries, counts.n_groups)
