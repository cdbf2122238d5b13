"""The row `imagenet_ridge`: what a linear map from ImageNet features to the factors achieves.

One eigendecomposition of the features' Gram matrix serves every strength of the grid. Strengths
are in units of the mean eigenvalue, so the same grid fits features of any scale and number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import Matrix

STRENGTHS: tuple[float, ...] = tuple(float(s) for s in np.logspace(4, -3, 15))
"""Strongest first: the first of equals is the most cautious."""


@dataclass(frozen=True)
class RidgePath:
    """Ridge solutions of every strength.

    Attributes:
        mean: of the train features, float64, shape (d,).
        directions: eigenvectors V of X'X, float64, shape (d, d).
        eigenvalues: float64, shape (d,).
        projected: V' X' Y, float64, shape (d, n_factors).
    """

    mean: Floats
    directions: Floats
    eigenvalues: Floats
    projected: Floats

    def predict(self, vectors: Matrix, strength: float) -> Matrix:
        """Predicted factors minus their train mean, (n, d) to (n, n_factors).

        W = V (Lambda + strength * mean(Lambda))^-1 V' X' Y; strength must be above 0.
        """
        shrunk = self.eigenvalues + strength * max(float(self.eigenvalues.mean()), 1e-12)
        weights = self.directions @ (self.projected / shrunk[:, np.newaxis])
        return np.asarray((vectors - self.mean) @ weights, dtype=np.float32)


def fit_ridge(features: Matrix, targets: Matrix) -> RidgePath:
    """Minimize |Y - X W|^2 + strength |W|^2 with X and Y minus their means, for all strengths.

    Args:
        features: of train projects, shape (n, d).
        targets: their factors, shape (n, n_factors).
    """
    mean = features.mean(axis=0, dtype=np.float64)
    x = features - mean
    y = targets - targets.mean(axis=0, dtype=np.float64)
    eigenvalues, directions = np.linalg.eigh(x.T @ x)
    return RidgePath(mean, directions, np.maximum(eigenvalues, 0.0), directions.T @ (x.T @ y))
