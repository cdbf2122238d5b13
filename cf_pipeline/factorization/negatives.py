"""Cells of a matrix that count as seen and not wanted, drawn among those that are empty.

One-class data has no zeros. Pan et al. 2008 ("One-class collaborative filtering") draw some, for
each user a multiple of what the user has, an item as often as it is popular or all alike.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import sparse

from cf_pipeline.vectors import Indices

Drawn = Literal["popularity", "uniform"]
_ROUNDS = 20
"""Draws that hit a cell which is taken are drawn again so many times at most."""


def with_negatives(
    user_items: sparse.csr_matrix, ratio: float, drawn: Drawn, seed: int
) -> sparse.csr_matrix:
    """Observed cells as 1 and drawn cells as explicit 0.

    Args:
        user_items: CSR, shape (n_users, n_projects); every stored cell is observed.
        ratio: negatives for each observed cell of a user, rounded to a whole number a user.
        drawn: how often a project is drawn: by how many users it has, or each alike.
        seed: of the draws.

    Returns:
        CSR, float32, the same shape. A user who has nearly everything gets fewer than asked for: no
        cell is drawn twice or where something was observed.
    """
    n_users, n_projects = user_items.shape
    n_each = np.diff(user_items.indptr).astype(np.int64)
    observed = np.repeat(np.arange(n_users, dtype=np.int64), n_each) * n_projects
    observed += user_items.indices
    popularity = np.bincount(user_items.indices, minlength=n_projects)
    weights = popularity if drawn == "popularity" else np.ones(n_projects)
    edges = np.cumsum(weights, dtype=np.float64)
    n_empty = n_projects - n_each
    asked = np.minimum(np.rint(ratio * n_each).astype(np.int64), n_empty)
    rng = np.random.default_rng(seed)
    taken, negatives = np.sort(observed), np.empty(0, dtype=np.int64)
    lacking = asked
    for _ in range(_ROUNDS):
        users = np.repeat(np.arange(n_users, dtype=np.int64), lacking)
        if not len(users):
            break
        columns = np.searchsorted(edges, rng.random(len(users)) * edges[-1], side="right")
        cells = np.unique(users * n_projects + columns)
        cells = cells[~_are_in(cells, taken)]
        negatives = np.concatenate([negatives, cells])
        taken = np.sort(np.concatenate([taken, cells]))
        lacking = asked - np.bincount(negatives // n_projects, minlength=n_users)
    values = np.concatenate([np.ones(len(observed)), np.zeros(len(negatives))])
    rows, columns = np.divmod(np.concatenate([observed, negatives]), n_projects)
    return sparse.csr_matrix(
        (values.astype(np.float32), (rows, columns)), shape=user_items.shape, dtype=np.float32
    )


def _are_in(cells: Indices, ordered: Indices) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether cells are among others, which are sorted and at least one."""
    places = np.minimum(np.searchsorted(ordered, cells), len(ordered) - 1)
    return np.asarray(ordered[places] == cells)
