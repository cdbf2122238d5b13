"""The talk's last slide (Hailin Jin, 2015): four benchmarks, three features, in percent.

The slide states neither metric nor split. Its meta-class figure of AVA Style is Karayev's mean
average precision, so styles are likely told by that, and objects by accuracy, mean over classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, IMAGENET, METACLASS

FEATURES = (COLLABORATIVE, IMAGENET, METACLASS)


@dataclass(frozen=True)
class TalkRow:
    """A benchmark of the slide.

    Attributes:
        name: as the slide has it.
        tasks: names of tasks that are this set, and of one that stands in for it.
        metric: what ours are compared by.
        theirs: percent, in the order of FEATURES.
    """

    name: str
    tasks: tuple[str, ...]
    metric: str
    theirs: tuple[float, ...]


SLIDE = (
    TalkRow("Flickr Style", ("flickr_style",), "map", (37.2, 37.1, 32.8)),
    TalkRow("Wiki Paintings", ("wikipaintings", "wikiart7"), "map", (41.4, 40.7, 38.6)),
    TalkRow("AVA Style", ("ava_style",), "map", (56.0, 51.3, 53.9)),
    TalkRow("Caltech-256", ("caltech256", "caltech101"), "mean_class_accuracy", (57.6, 68.9, 48.9)),
)


def beside_the_talk(scores: pl.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Titles and rows: each benchmark of the slide, ours in percent and theirs in brackets.

    Args:
        scores: `task, feature_set, metric, value` of one model; a benchmark of which there is no
            task has no figures of ours.
    """
    columns = scores.select("task", "feature_set", "metric", "value")
    values = {(task, name, metric): value for task, name, metric, value in columns.iter_rows()}
    there = {task for task, _, _ in values}
    rows = []
    for row in SLIDE:
        task = next((task for task in row.tasks if task in there), None)
        ours = [values.get((task or "", name, row.metric)) for name in FEATURES]
        cells = [
            ("\u2013" if value is None else f"{100 * value:.1f}") + f" ({theirs:.1f})"
            for value, theirs in zip(ours, row.theirs, strict=True)
        ]
        rows.append([row.name, "" if task is None else f"{task}, {row.metric}", *cells])
    return ["the talk's", "ours", *FEATURES], rows
