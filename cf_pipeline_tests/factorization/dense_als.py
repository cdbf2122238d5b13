"""Implicit ALS as the equations say it, dense and slow: the specification of the fast one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Dense = npt.NDArray[np.float64]


def half_step(confidence: Dense, fixed: Dense, regularization: float) -> Dense:
    """Best rows for fixed columns (Hu, Koren, Volinsky 2008, equation 4).

    Args:
        confidence: shape (n_rows, n_columns), c > 0 where observed, 0 elsewhere.
        fixed: shape (n_columns, n_factors).
        regularization: lambda, not scaled by counts.

    Returns:
        Shape (n_rows, n_factors).
    """
    rows = []
    for row in confidence:
        c = np.where(row > 0, row, 1.0)
        p = (row > 0).astype(np.float64)
        left = fixed.T @ np.diag(c) @ fixed + regularization * np.eye(fixed.shape[1])
        rows.append(np.linalg.solve(left, fixed.T @ (c * p)))
    return np.array(rows)


def dense_objective(confidence: Dense, x: Dense, y: Dense, regularization: float) -> float:
    """Equation 3, cell by cell."""
    total = 0.0
    for u in range(confidence.shape[0]):
        for i in range(confidence.shape[1]):
            c = confidence[u, i] if confidence[u, i] > 0 else 1.0
            p = 1.0 if confidence[u, i] > 0 else 0.0
            total += c * (p - x[u] @ y[i]) ** 2
    return total + regularization * float((x * x).sum() + (y * y).sum())
