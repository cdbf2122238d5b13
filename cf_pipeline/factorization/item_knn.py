"""Neighbours among projects: who came for one came for the other. The rival that costs nothing.

Sarwar, Karypis, Konstan, Riedl 2001: the cosine of two projects' users, the nearest of each project
kept; a project's score for a user is the sum of its cosines to what the user has.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from cf_pipeline.vectors import Matrix

N_NEIGHBOURS = 200
_PROJECTS_AT_ONCE = 1024


def project_cosines(user_items: sparse.csr_matrix, k: int = N_NEIGHBOURS) -> sparse.csr_matrix:
    """Cosines of each project to the k whose users are most like its own.

    Args:
        user_items: CSR, shape (n_users, n_projects); every stored cell counts alike.
        k: at most so many neighbours each, and no project with itself; of equals the first.

    Returns:
        CSR, float32, shape (n_projects, n_projects): row j has its neighbours.
    """
    seen = user_items.astype(np.float32).tocsc()
    seen.data = np.ones_like(seen.data)
    sizes = np.sqrt(np.diff(seen.indptr).astype(np.float32))
    unit = (seen @ sparse.diags(1 / np.maximum(sizes, 1))).tocsc()
    n = unit.shape[1]
    blocks = []
    for start in range(0, n, _PROJECTS_AT_ONCE):
        stop = min(start + _PROJECTS_AT_ONCE, n)
        cosines = np.asarray((unit[:, start:stop].T @ unit).todense(), dtype=np.float32)
        cosines[np.arange(stop - start), np.arange(start, stop)] = 0
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        rows = np.repeat(np.arange(stop - start), order.shape[1])
        values = np.take_along_axis(cosines, order, axis=1).ravel()
        block = sparse.csr_matrix((values, (rows, order.ravel())), shape=(stop - start, n))
        block.eliminate_zeros()
        blocks.append(block)
    return sparse.vstack(blocks, format="csr")


def knn_scores(user_items: sparse.csr_matrix, cosines: sparse.csr_matrix) -> Matrix:
    """Sum of each project's cosines to what a user has, shape (n_users, n_projects)."""
    seen = user_items.astype(np.float32)
    seen.data = np.ones_like(seen.data)
    return np.asarray((seen @ cosines.T).todense(), dtype=np.float32)
