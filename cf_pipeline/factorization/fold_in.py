"""Placing new projects among fixed users: one ALS half-step, exactly as in training."""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse

from cf_pipeline.errors import DataError
from cf_pipeline.vectors import Matrix


def fold_in(user_factors: Matrix, item_users: sparse.csr_matrix, regularization: float) -> Matrix:
    """Factors of projects that were not trained on, the user factors fixed.

    Hu, Koren, Volinsky 2008, equation 5: y_i = (X'C_i X + lambda I)^-1 X'C_i p_i, with
    X'C_i X = X'X + X'(C_i - I)X, where C_i - I is zero for users without an event.

    Args:
        user_factors: float32, shape (n_users, n_factors).
        item_users: CSR, shape (n_new, n_users), confidences of the new projects' users.
        regularization: lambda, not scaled by counts.

    Returns:
        float32, shape (n_new, n_factors); a project without users is the zero vector.

    Raises:
        DataError: the number of columns is not the number of users.
    """
    if item_users.shape[1] != user_factors.shape[0]:
        raise DataError(
            f"item_users must have one column per user factor ({user_factors.shape[0]}), got shape "
            f"{item_users.shape}. Build it with the users that were factorized, projects as rows."
        )
    x = user_factors.astype(np.float64)
    gram = x.T @ x + regularization * np.eye(x.shape[1])
    factors = np.zeros((item_users.shape[0], x.shape[1]), dtype=np.float32)
    for row in range(item_users.shape[0]):
        start, stop = item_users.indptr[row], item_users.indptr[row + 1]
        users, c = item_users.indices[start:stop], item_users.data[start:stop].astype(np.float64)
        if len(users) == 0:
            continue
        xu = x[users]
        left = gram + (xu.T * (c - 1)) @ xu
        factors[row] = linalg.solve(left, xu.T @ c, assume_a="pos")
    return factors
