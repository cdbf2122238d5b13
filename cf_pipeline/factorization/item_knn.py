"""Neighbours among projects: who came for one came for the other. The rival that costs nothing.

Sarwar, Karypis, Konstan, Riedl 2001: the cosine of two projects' users, the nearest of each project
kept; a project's score for a user is the sum of its cosines to what the user has. Through
`implicit`, which counts a project among its own neighbours.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from cf_pipeline.interactions.matrix import seen
from cf_pipeline.vectors import Matrix

N_NEIGHBOURS = 200


def project_cosines(
    user_items: sparse.csr_matrix, k: int = N_NEIGHBOURS, threads: int = 0
) -> sparse.csr_matrix:
    """Cosines of each project to the k whose users are most like its own.

    Args:
        user_items: CSR, shape (n_users, n_projects); every stored cell counts alike.
        k: at most so many neighbours each, and no project with itself.
        threads: cores, 0 for all of them.

    Returns:
        CSR, shape (n_projects, n_projects): row j has its neighbours.
    """
    from implicit.nearest_neighbours import ItemItemRecommender

    x = seen(user_items, np.float64)
    lengths = np.sqrt(np.maximum(1, np.asarray(x.sum(axis=0)).ravel()))
    # Not its CosineRecommender, which divides by lengths, too, and warns of what it made itself.
    model = ItemItemRecommender(K=k + 1, num_threads=threads)
    model.fit((x @ sparse.diags(1 / lengths)).tocsr(), show_progress=False)
    cosines = model.similarity.copy()
    cosines.setdiag(0)
    cosines.eliminate_zeros()
    return cosines


def knn_scores(user_items: sparse.csr_matrix, cosines: sparse.csr_matrix) -> Matrix:
    """Sum of each project's cosines to what a user has, shape (n_users, n_projects)."""
    return np.asarray((seen(user_items, np.float64) @ cosines.T).todense(), dtype=np.float32)
