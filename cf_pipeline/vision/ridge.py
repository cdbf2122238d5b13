"""Ridge regression for every strength at once: what a linear map from frozen features achieves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import Matrix

STRENGTHS: tuple[float, ...] = tuple(float(s) for s in np.logspace(4, -3, 15))
"""Strongest first: the first of equals is the most cautious."""
_NOTHING = 1e-12
"""An eigenvalue below this share of the largest is rounding."""
_BLOCK = 8_192
"""Rows in double precision at once."""


@dataclass(frozen=True)
class RidgePath:
    """A ridge regression, solved for every strength by one decomposition.

    Attributes:
        mean: of the features, shape (d,).
        offset: mean of the targets, shape (k,).
        directions: eigenvectors of X'X, X centred, whose eigenvalues are above 0, shape (d, r).
        eigenvalues: theirs, shape (r,).
        projected: directions' X'Y, Y centred, shape (r, k).
    """

    mean: Floats
    offset: Floats
    directions: Floats
    eigenvalues: Floats
    projected: Floats

    def weights(self, strength: float) -> Floats:
        """Shape (d, k): Y - offset is about (X - mean) times them.

        Args:
            strength: lambda in units of the mean eigenvalue, so that it means the same whatever
                the length of features and their number.
        """
        mean = float(self.eigenvalues.sum()) / len(self.mean)
        shrunk = self.eigenvalues + strength * max(mean, 1e-12)
        return np.asarray(self.directions @ (self.projected / shrunk[:, np.newaxis]))

    def predict(self, vectors: Matrix, strength: float) -> Matrix:
        """Targets less their mean, (n, d) to (n, k)."""
        return np.asarray((vectors - self.mean) @ self.weights(strength), dtype=np.float32)


def fit_ridge(features: Matrix, targets: Matrix, weights: Floats | None = None) -> RidgePath:
    """Fit on train.

    Memory beyond the features is that of the smaller Gram matrix and of one block of rows.

    Args:
        features: shape (n, d).
        targets: shape (n, k).
        weights: how much each row counts, shape (n,), of mean 1; None: all alike.
    """
    mean, offset = _mean(features, weights), _mean(targets, weights)
    roots = np.ones(len(features)) if weights is None else np.sqrt(weights)

    def rows(start: int) -> tuple[Floats, Floats]:
        block = slice(start, start + _BLOCK)
        root = roots[block, np.newaxis]
        return root * (features[block] - mean), root * (targets[block] - offset)

    # X'X and XX' have the same eigenvalues above 0: the smaller of the two is decomposed.
    if len(features) < features.shape[1]:
        x, y = (np.concatenate(parts) for parts in zip(*map(rows, _starts(features)), strict=True))
        eigenvalues, vectors = _above_nothing(x @ x.T)
        directions = x.T @ vectors / np.sqrt(eigenvalues)
        return RidgePath(mean, offset, directions, eigenvalues, directions.T @ (x.T @ y))
    gram = np.zeros((features.shape[1],) * 2)
    shared = np.zeros((features.shape[1], targets.shape[1]))
    for start in _starts(features):
        x, y = rows(start)
        gram += x.T @ x
        shared += x.T @ y
    eigenvalues, directions = _above_nothing(gram)
    return RidgePath(mean, offset, directions, eigenvalues, directions.T @ shared)


def _mean(values: Matrix, weights: Floats | None) -> Floats:
    """In double precision, (n, d) to (d,)."""
    if weights is None:
        return np.asarray(values.mean(axis=0, dtype=np.float64))
    sums = (weights[s : s + _BLOCK] @ values[s : s + _BLOCK] for s in _starts(values))
    return np.asarray(sum(sums) / weights.sum())


def _starts(rows: Matrix) -> range:
    return range(0, len(rows), _BLOCK)


def _above_nothing(gram: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues above rounding, (r,), and their vectors, (d, r)."""
    eigenvalues, vectors = np.linalg.eigh(gram)
    kept = eigenvalues > _NOTHING * float(eigenvalues.max(initial=0.0))
    return eigenvalues[kept], vectors[:, kept]
