"""Classification measures from confusion counts; arrays in, arrays out.

Labels are class indices 0..n_classes - 1. Mean class accuracy weighs classes alike; a class without
items takes no part in it.
"""

from __future__ import annotations

import numpy as np

from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import Indices


def confusion_counts(labels: Indices, predictions: Indices, n_classes: int) -> Indices:
    """Items by label (rows) and prediction (columns), shape (n_classes, n_classes)."""
    flat = np.bincount(labels * n_classes + predictions, minlength=n_classes**2)
    return flat.reshape(n_classes, n_classes).astype(np.int64)


def class_accuracies(confusion: Indices) -> Floats:
    """Correct items of a class divided by its items, shape (n_classes,), NaN without items."""
    totals = confusion.sum(axis=1).astype(np.float64)
    empty = totals == 0
    return np.where(empty, np.nan, np.diag(confusion) / np.where(empty, 1.0, totals))


def mean_class_accuracy(confusion: Indices) -> float:
    """Mean of class accuracies over the classes that have items; NaN without items."""
    values = class_accuracies(confusion)
    present = ~np.isnan(values)
    return float(values[present].mean()) if present.any() else float("nan")
