"""Which metric a labelled task is told by."""

from __future__ import annotations

import polars as pl

PRIMARY = {False: "mean_class_accuracy", True: "map"}
"""Whether images have any number of labels, to that metric."""


def is_primary(*of: str) -> pl.Expr:
    """Of rows with `task` and `metric`: accuracy over classes, or mAP where a task has no such.

    Args:
        of: further columns that tell tasks apart, as the model where rows are of several.
    """
    has_classes = (pl.col("metric") == PRIMARY[False]).any().over("task", *of)
    wanted = pl.when(has_classes).then(pl.lit(PRIMARY[False])).otherwise(pl.lit(PRIMARY[True]))
    return pl.col("metric") == wanted
