"""Classification measures from confusion counts; arrays in, arrays out.

Labels are class indices 0..n_classes - 1. Accuracy weighs items alike, mean class accuracy weighs
classes alike; a class without items takes no part in the second.
"""

from __future__ import annotations

import numpy as np

from cf_pipeline.metrics.ranking import Flags, Floats
from cf_pipeline.vectors import Indices


def correct(labels: Indices, predictions: Indices) -> Flags:
    """Whether each item was predicted as its label, shape (n,)."""
    return np.asarray(labels == predictions, dtype=np.bool_)


def confusion_counts(labels: Indices, predictions: Indices, n_classes: int) -> Indices:
    """Items by label (rows) and prediction (columns), shape (n_classes, n_classes)."""
    flat = np.bincount(labels * n_classes + predictions, minlength=n_classes**2)
    return flat.reshape(n_classes, n_classes).astype(np.int64)


def accuracy(confusion: Indices) -> float:
    """Correct items divided by all items; NaN without items."""
    total = int(confusion.sum())
    return float(np.trace(confusion)) / total if total else float("nan")


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
