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


def fit_ridge(features: Matrix, targets: Matrix) -> RidgePath:
    """Fit on train, shapes (n, d) and (n, k)."""
    mean = features.mean(axis=0, dtype=np.float64)
    offset = targets.mean(axis=0, dtype=np.float64)
    x, y = features - mean, targets - offset
    # X'X and XX' have the same eigenvalues above 0: the smaller of the two is decomposed.
    few = len(x) < x.shape[1]
    eigenvalues, vectors = np.linalg.eigh(x @ x.T if few else x.T @ x)
    kept = eigenvalues > _NOTHING * float(eigenvalues.max(initial=0.0))
    eigenvalues, vectors = eigenvalues[kept], vectors[:, kept]
    directions = x.T @ vectors / np.sqrt(eigenvalues) if few else vectors
    return RidgePath(mean, offset, directions, eigenvalues, directions.T @ (x.T @ y))
