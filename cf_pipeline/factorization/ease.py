"""EASE (Steck 2019, "Embarrassingly shallow autoencoders for sparse data"): the linear rival.

Weights B of projects on projects minimize |X - X B|^2 + lambda |B|^2 with a diagonal of zeros. With
P the inverse of X'X + lambda I they are B_ij = -P_ij / P_jj. That inverse is dense: it is asked for
where there are few projects alone.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from cf_pipeline.interactions.matrix import seen
from cf_pipeline.vectors import Matrix

MOST_PROJECTS = 6000
"""So many take some ten seconds and 900 MB."""
STRENGTHS = (10.0, 100.0, 1000.0)
"""Of lambda, to choose from on events that are hidden among those that it is fitted to."""


def project_weights(user_items: sparse.csr_matrix, strength: float) -> Matrix:
    """B, float32, shape (n_projects, n_projects), zeros on the diagonal.

    Args:
        user_items: CSR, shape (n_users, n_projects); every stored cell counts alike.
        strength: lambda.
    """
    from scipy import linalg  # slow to import

    x = seen(user_items, np.float64)
    gram = (x.T @ x).toarray(order="F")
    gram[np.diag_indices_from(gram)] += strength
    factor, _ = linalg.lapack.dpotrf(gram, lower=False, clean=False, overwrite_a=True)
    upper, _ = linalg.lapack.dpotri(factor, lower=False, overwrite_c=True)
    diagonal = np.diag(upper).copy()
    half = np.triu(upper, 1)  # the other half is as it was
    half += half.T.copy()
    half /= -diagonal
    return np.asarray(half, dtype=np.float32)


def ease_scores(user_items: sparse.csr_matrix, weights: Matrix) -> Matrix:
    """X B, shape (n_users, n_projects)."""
    return np.asarray(seen(user_items) @ weights, dtype=np.float32)
