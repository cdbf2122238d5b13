"""Implicit ALS as the equations say it, dense and slow: the specification of the fast one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cf_pipeline.factorization.als import Als

Dense = npt.NDArray[np.float64]


def weighed(confidence: Dense, elsewhere: float) -> tuple[Dense, Dense]:
    """Weight of every cell, and what it should be: 1 where observed, 0 elsewhere.

    Args:
        confidence: shape (n_rows, n_columns), c > 0 where observed, 0 elsewhere.
        elsewhere: weight where nothing was observed.
    """
    return np.where(confidence > 0, confidence, elsewhere), (confidence > 0).astype(np.float64)


def lambdas(confidence: Dense, elsewhere: float, regularization: float, exponent: float) -> Dense:
    """lambda of every row: of what its cells weigh, rounded to the next power of 2 ** (1/4)."""
    weights, _ = weighed(confidence, elsewhere)
    if exponent == 0:
        return np.full(len(confidence), regularization)
    rounded = [2 ** (round(4 * np.log2(row.sum())) / 4) for row in weights]
    return np.array([regularization * weight**exponent for weight in rounded])


def half_step(confidence: Dense, fixed: Dense, penalty: Dense, elsewhere: float = 1.0) -> Dense:
    """Best rows for fixed columns (Hu, Koren, Volinsky 2008, equation 4).

    Args:
        confidence: shape (n_rows, n_columns).
        fixed: shape (n_columns, n_factors).
        penalty: lambda of each row, shape (n_rows,).
        elsewhere: weight where nothing was observed.

    Returns:
        Shape (n_rows, n_factors).
    """
    rows = []
    for c, p, own in zip(*weighed(confidence, elsewhere), penalty, strict=True):
        left = fixed.T @ np.diag(c) @ fixed + own * np.eye(fixed.shape[1])
        rows.append(np.linalg.solve(left, fixed.T @ (c * p)))
    return np.array(rows)


def dense_objective(
    confidence: Dense, x: Dense, y: Dense, of_x: Dense, of_y: Dense, elsewhere: float = 1.0
) -> float:
    """Equation 3, cell by cell; of_x and of_y are the lambdas of rows and columns."""
    weights, wanted = weighed(confidence, elsewhere)
    total = 0.0
    for u, i in np.ndindex(*confidence.shape):
        total += weights[u, i] * (wanted[u, i] - x[u] @ y[i]) ** 2
    return total + float(of_x @ (x * x).sum(axis=1) + of_y @ (y * y).sum(axis=1))


def lambdas_of(als: Als, confidence: Dense) -> Dense:
    """lambda of every row, shape (n_rows,)."""
    return lambdas(
        confidence, als.unobserved_weight, als.regularization, als.regularization_exponent
    )


def exact(als: Als, confidence: Dense, fixed: Dense) -> Dense:
    """The half-step of a method as it is configured."""
    return half_step(confidence, fixed, lambdas_of(als, confidence), als.unobserved_weight)
