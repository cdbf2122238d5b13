"""The value that implicit ALS minimizes, over all cells, without visiting the empty ones."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from cf_pipeline.vectors import Matrix


def als_objective(
    user_items: sparse.csr_matrix,
    user_factors: Matrix,
    item_factors: Matrix,
    regularization: float,
) -> float:
    """Sum over all cells of c_ui (p_ui - x_u . y_i)^2, plus lambda (|X|^2 + |Y|^2).

    Hu, Koren, Volinsky 2008, equation 3: p_ui = 1 and c_ui the stored value where there is one,
    p_ui = 0 and c_ui = 1 elsewhere. The empty cells are summed through the Gram matrices:
    sum over all u, i of (x_u . y_i)^2 = trace(X'X Y'Y).

    Args:
        user_items: CSR, shape (n_users, n_projects), confidences.
        user_factors: float32, shape (n_users, n_factors).
        item_factors: float32, shape (n_projects, n_factors).
        regularization: lambda, not scaled by counts.
    """
    x, y = user_factors.astype(np.float64), item_factors.astype(np.float64)
    everywhere = float(np.sum((x.T @ x) * (y.T @ y)))
    observed = 0.0
    # A block of rows at a time: the predictions of 178 million pairs do not fit at once.
    for start in range(0, user_items.shape[0], 4096):
        block = user_items[start : start + 4096].tocoo()
        predicted = np.einsum("nk,nk->n", x[start + block.row], y[block.col])
        c = block.data.astype(np.float64)
        observed += float(np.sum(c * (1 - predicted) ** 2 - predicted**2))
    return everywhere + observed + regularization * float(np.sum(x * x) + np.sum(y * y))
