"""Which metric a labelled task is told by."""

from __future__ import annotations

import polars as pl

PRIMARY = {False: "mean_class_accuracy", True: "map"}
"""Whether images have any number of labels, to that metric."""


def is_primary() -> pl.Expr:
    """Of rows with `task` and `metric`: accuracy over classes, or mAP where a task has no such."""
    has_classes = (pl.col("metric") == PRIMARY[False]).any().over("task")
    wanted = pl.when(has_classes).then(pl.lit(PRIMARY[False])).otherwise(pl.lit(PRIMARY[True]))
    return pl.col("metric") == wanted
