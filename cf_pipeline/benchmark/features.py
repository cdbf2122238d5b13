"""Forms of feature sets before cosines are taken: centred, whitened, side by side.

What is subtracted or divided by comes from train projects alone.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from cf_pipeline.benchmark.feature_sets import feature_set
from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import IndexedVectors, Matrix, unit_norm

Form = Literal["plain", "centred", "whitened"]

WHITENING_FLOOR = 0.01
"""Added to every variance, in units of their mean: directions that hardly vary on train are not
blown up into noise."""


def standardization(train: Matrix) -> tuple[Floats, Floats]:
    """What to subtract of features, and then to multiply by: mean 0 and deviation 1 on train.

    A constant feature becomes 0 there. Shape (n_train, d) to (d,) and (d,).
    """
    mean = train.mean(axis=0, dtype=np.float64)
    deviation = train.std(axis=0, dtype=np.float64)
    # Rounding leaves a constant float32 feature a deviation of the order of its last bit.
    constant = deviation <= 1e-7 * np.abs(mean)
    return mean, np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))


def centred(train: Matrix, vectors: Matrix) -> Matrix:
    """Vectors minus the mean of train, (n_train, d) and (n, d) to (n, d)."""
    mean = train.mean(axis=0, dtype=np.float64)
    return np.asarray(vectors - mean, dtype=np.float32)


def whitened(train: Matrix, vectors: Matrix) -> Matrix:
    """Centred vectors in the principal directions of train, each divided by its deviation.

    z = (x - mean) V / sqrt(lambda + floor * mean(lambda)), V and lambda of train's covariance.
    Shapes (n_train, d) and (n, d) to (n, d).
    """
    x = centred(train, train).astype(np.float64)
    variances, directions = np.linalg.eigh(x.T @ x / len(x))
    variances = np.maximum(variances, 0.0)
    floored = variances + WHITENING_FLOOR * variances.mean()
    # Constant features have no variance at all and stay zero.
    scales = np.divide(1.0, np.sqrt(floored), out=np.zeros_like(floored), where=floored > 0)
    return np.asarray(centred(train, vectors) @ (directions * scales), dtype=np.float32)


def in_form(form: Form, train: Matrix, vectors: Matrix) -> Matrix:
    """Vectors as they are, centred or whitened on train."""
    if form == "plain":
        return vectors
    return centred(train, vectors) if form == "centred" else whitened(train, vectors)


def ensemble(a: Matrix, b: Matrix) -> Matrix:
    """Two feature sets side by side, each of unit norm, (n, d_a) and (n, d_b) to (n, d_a + d_b).

    The cosine of the result is the mean of the two cosines.
    """
    return np.concatenate([unit_norm(a), unit_norm(b)], axis=1)


def formed_on(form: Form, train_ids: tuple[str, ...], features: IndexedVectors) -> IndexedVectors:
    """All vectors of a feature set in a form that train_ids decide."""
    return IndexedVectors(features.ids, in_form(form, features.rows(train_ids), features.vectors))


def as_compared(
    name: str, vectors: IndexedVectors, train_ids: tuple[str, ...], imagenet_form: Form
) -> IndexedVectors:
    """All vectors of a feature set as its cosines are taken on the scoreboard.

    Args:
        name: the feature set; it says the form.
        vectors: as its table holds them, train projects among them where the form asks for them.
        train_ids: what means and directions come from.
        imagenet_form: `benchmark.imagenet_form`.

    Raises:
        DataError: a train project has no vector.
    """
    form = feature_set(name).form
    if form == "plain":
        return vectors
    return formed_on(imagenet_form if form == "configured" else form, train_ids, vectors)
