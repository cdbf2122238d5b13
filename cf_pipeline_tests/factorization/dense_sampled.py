"""The slide's factorization as its formula says it, cell by cell: the specification."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Dense = npt.NDArray[np.float64]
SKIPPED = -1.0


def dense_objective(cells: Dense, users: Dense, projects: Dense, regularization: float) -> float:
    """Over cells with V != -1.

    Args:
        cells: V, shape (n_users, n_projects): 1, 0 or -1.
        users: shape (n_users, k).
        projects: shape (n_projects, k).
        regularization: lambda.
    """
    total = 0.0
    for u, i in np.ndindex(*cells.shape):
        if cells[u, i] != SKIPPED:
            total += (cells[u, i] - users[u] @ projects[i]) ** 2
            total += regularization * float(users[u] @ users[u] + projects[i] @ projects[i])
    return total


def half_step(cells: Dense, fixed: Dense, regularization: float) -> Dense:
    """Best rows for fixed columns, zero where nothing is known of a row."""
    rows = []
    for row in cells:
        known = row != SKIPPED
        v = fixed[known]
        left = v.T @ v + regularization * len(v) * np.eye(fixed.shape[1])
        rows.append(np.linalg.solve(left, v.T @ row[known]) if len(v) else 0 * fixed[0])
    return np.array(rows)
