"""What stands below a labelled task's table: what became of the set, and classes that tell."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, IMAGENET
from cf_pipeline.benchmark.report import notes_of, told_of_set

N_CLASSES = 6
"""Classes at each end."""
_OF_CLASS = {"mean_class_accuracy": "accuracy", "map": "average_precision"}


@dataclass(frozen=True)
class ClassRow:
    """A class of a labelled task: how well it is known by our features and by ImageNet's."""

    name: str
    ours: float
    theirs: float
    n_test: int


@dataclass(frozen=True)
class TaskPanel:
    """What stands below the table of a labelled task.

    Attributes:
        of_set: what became of the set.
        notes: what feature sets could have known of it.
        metric: what classes are told by.
        ahead: classes that ours know better, by most first.
        behind: those that they know worse, likewise.
    """

    of_set: str
    notes: tuple[str, ...]
    metric: str
    ahead: tuple[ClassRow, ...]
    behind: tuple[ClassRow, ...]


def task_panel(rows: pl.DataFrame, classes: pl.DataFrame) -> TaskPanel:
    """The panel of one task.

    Args:
        rows: of SCORES_SCHEMA, of one labelled task and its primary metric.
        classes: rows of `benchmark_classes` of the same model.
    """
    row = rows.row(0, named=True)
    metric = _OF_CLASS[row["metric"]]
    own = classes.filter(task=row["task"], metric=metric)
    sides = own.filter(feature_set=COLLABORATIVE).join(
        own.filter(feature_set=IMAGENET), on="class", suffix="_theirs"
    )
    apart = (
        sides
        .with_columns(difference=pl.col("value") - pl.col("value_theirs"))
        .drop_nulls("difference")
        .sort("difference", "class")
        .select("class", "value", "value_theirs", "n_test")
    )
    ours, theirs = pl.col("value"), pl.col("value_theirs")
    return TaskPanel(
        of_set=told_of_set(row),
        notes=notes_of(rows, "name"),
        metric=metric.replace("_", " "),
        ahead=_rows(apart.filter(ours > theirs).tail(N_CLASSES).reverse()),
        behind=_rows(apart.filter(ours < theirs).head(N_CLASSES)),
    )


def _rows(classes: pl.DataFrame) -> tuple[ClassRow, ...]:
    return tuple(ClassRow(*row) for row in classes.iter_rows())
