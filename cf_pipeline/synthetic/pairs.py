"""Pairs of users and projects at any size: communities of taste, and projects known to everybody.

No table of users times projects is made, as the planted world's events need one: a draw costs a
binary search. There are no covers and no true factors, only who came for what.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

EVENTS_OF_USER, EVENTS_OF_PROJECT = 100, 250
"""In the mean."""
_FEWEST_PROJECTS = 400
_COMMUNITIES, _TASTES = 100, 3
_FOR_ALL = 0.3
"""Share of events that go to any project by its popularity."""


def draw_pairs(n_pairs: int, seed: int = 0) -> sparse.csr_matrix:
    """So many pairs, each once.

    Args:
        n_pairs: a hundred for a user, 250 for a project in the mean, both with long tails.
        seed: of everything that is drawn.

    Returns:
        CSR, float32 ones, shape (n_pairs / 100, n_pairs / 250), columns of a row sorted; at least
        400 projects.
    """
    rng = np.random.default_rng(seed)
    n_users = max(1, n_pairs // EVENTS_OF_USER)
    n_projects = max(_FEWEST_PROJECTS, n_pairs // EVENTS_OF_PROJECT)
    # Projects of a community stand together; the numbers that come out are shuffled.
    community = np.sort(rng.integers(_COMMUNITIES, size=n_projects))
    first = np.searchsorted(community, np.arange(_COMMUNITIES + 1))
    popularity = np.concatenate([[0], np.cumsum(rng.lognormal(0, 1.5, n_projects))])
    activity = np.cumsum(rng.lognormal(0, 1, n_users))
    tastes = rng.integers(_COMMUNITIES, size=(n_users, _TASTES))
    cells = np.empty(0, dtype=np.int64)
    while len(cells) < n_pairs:
        n = int(1.1 * (n_pairs - len(cells))) + 1
        users = np.searchsorted(activity, rng.random(n) * activity[-1], side="right")
        liked = tastes[users, rng.integers(_TASTES, size=n)]
        for_all = rng.random(n) < _FOR_ALL
        low = np.where(for_all, 0, popularity[first[liked]])
        high = np.where(for_all, popularity[-1], popularity[first[liked + 1]])
        drawn = low + rng.random(n) * (high - low)
        projects = np.minimum(np.searchsorted(popularity, drawn, side="right") - 1, n_projects - 1)
        cells = np.sort(np.concatenate([cells, users * n_projects + projects]))
        cells = cells[np.diff(cells, prepend=-1) > 0]  # numpy's unique takes ten times as long
    surplus = rng.choice(len(cells), len(cells) - n_pairs, replace=False)
    users, projects = np.divmod(np.delete(cells, surplus), n_projects)
    shuffled = rng.permutation(n_projects)[projects]
    ones = np.ones(n_pairs, dtype=np.float32)
    return sparse.coo_matrix((ones, (users, shuffled)), shape=(n_users, n_projects)).tocsr()
