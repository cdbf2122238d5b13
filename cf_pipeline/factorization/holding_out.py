"""What a model is not told, and is then asked for: three ways to hide events.

`newest_events`, where every pair has a time: the newest of each user, of two or more one at least.
A model is told of what other users did later, which flatters all models alike; cutting the whole
world at one moment would leave a few users with a past and a future. `hidden_events`, where there
is no time: each event by the hash of its user and project. `new_users` (strong generalization;
Liang et al. 2018): of users whom the model has never seen, part of the events is shown to it to
place them by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse

from cf_pipeline.errors import DataError
from cf_pipeline.interactions.matrix import InteractionMatrix
from cf_pipeline.metrics.keyed import id_keys, keyed_uniforms, pair_keys
from cf_pipeline.metrics.ranking import Flags
from cf_pipeline.vectors import Indices

Protocol = Literal["newest_events", "hidden_events", "new_users"]
_MOST_NEW_USERS = 0.2
"""Share of all users: the others have to carry the model."""


@dataclass(frozen=True)
class Question:
    """Whom a model is asked about, and what it is told.

    Attributes:
        protocol: how events were hidden.
        train: what models are fitted to.
        rows: of train, of the users who are asked about; None: they are not in it.
        user_ids: who is asked about, n of them.
        shown: what is known of them, CSR, shape (n, n_projects).
        hidden: what is asked for, likewise.
    """

    protocol: Protocol
    train: InteractionMatrix
    rows: Indices | None
    user_ids: tuple[str, ...]
    shown: sparse.csr_matrix
    hidden: sparse.csr_matrix


def of_known_users(matrix: InteractionMatrix, share: float, max_users: int, seed: int) -> Question:
    """Part of every user's events is hidden, and models are fitted to the rest.

    Args:
        matrix: train projects only.
        share: of the events, between 0 and 1.
        max_users: most users to ask about, of those with something hidden; who depends on the seed
            and a user's id alone.
        seed: of the hashes.

    Raises:
        DataError: nothing was hidden, or everything.
    """
    is_hidden = _hidden(matrix, share, seed)
    kept, hidden = _part(matrix, ~is_hidden), _part(matrix, is_hidden).user_items
    rows = _first_by_key(matrix.user_ids, np.diff(hidden.indptr) > 0, max_users, seed)
    return Question(
        "hidden_events" if matrix.recency is None else "newest_events",
        kept,
        rows,
        tuple(matrix.user_ids[row] for row in rows),
        kept.user_items[rows],
        hidden[rows],
    )


def of_new_users(matrix: InteractionMatrix, share: float, max_users: int, seed: int) -> Question:
    """Some users are left out altogether; of each, part of the events is shown.

    At most a fifth of the users are asked about. See of_known_users.
    """
    is_hidden = _hidden(matrix, share, seed)
    shown, hidden = (_part(matrix, part).user_items for part in (~is_hidden, is_hidden))
    can_be_asked = (np.diff(hidden.indptr) > 0) & (np.diff(shown.indptr) > 0)
    limit = min(max_users, int(_MOST_NEW_USERS * len(matrix.user_ids)))
    rows = _first_by_key(matrix.user_ids, can_be_asked, limit, seed)
    if not len(rows):
        raise DataError(
            f"none of {len(matrix.user_ids):,} users can be left out and asked about: expected at "
            "least five users with two events each. Prune less."
        )
    others = np.setdiff1d(np.arange(len(matrix.user_ids)), rows)
    train = InteractionMatrix(
        tuple(matrix.user_ids[row] for row in others), matrix.project_ids, matrix.user_items[others]
    )
    ids = tuple(matrix.user_ids[row] for row in rows)
    return Question("new_users", train, None, ids, shown[rows], hidden[rows])


def _hidden(matrix: InteractionMatrix, share: float, seed: int) -> Flags:
    """Which stored pairs are hidden, in the order of the matrix's data."""
    n_each = np.diff(matrix.user_items.indptr)
    if matrix.recency is not None:
        quotas = np.where(n_each > 1, np.maximum(1, np.floor(share * n_each)), 0)
        is_hidden = matrix.recency.data <= np.repeat(quotas, n_each)
    else:
        users = np.repeat(np.arange(len(n_each)), n_each)
        keys = pair_keys(
            id_keys(matrix.user_ids, seed)[users],
            id_keys(matrix.project_ids, seed)[matrix.user_items.indices],
        )
        is_hidden = keyed_uniforms(keys, 1)[:, 0] < share
    if not is_hidden.any() or is_hidden.all():
        raise DataError(
            f"factorization.holdout = {share} hides {int(is_hidden.sum())} of {len(is_hidden)} "
            "events. Ranking needs both hidden and kept ones: change the share or prune less."
        )
    return np.asarray(is_hidden)


def _part(matrix: InteractionMatrix, mask: Flags) -> InteractionMatrix:
    """The pairs that are marked; users and projects stay, even without a pair."""

    def only(stored: sparse.csr_matrix) -> sparse.csr_matrix:
        before = np.concatenate([[0], np.cumsum(mask)])
        return sparse.csr_matrix(
            (stored.data[mask], stored.indices[mask], before[stored.indptr]), shape=stored.shape
        )

    recency = None if matrix.recency is None else only(matrix.recency)
    if recency is not None:
        recency = _from_one(recency)
    return replace(matrix, user_items=only(matrix.user_items), recency=recency)


def _from_one(recency: sparse.csr_matrix) -> sparse.csr_matrix:
    """Places of what is left of each user, from 1 again."""
    users = np.repeat(np.arange(recency.shape[0]), np.diff(recency.indptr))
    order = np.lexsort((recency.data, users))
    places = np.empty(recency.nnz, dtype=np.float32)
    places[order] = np.arange(recency.nnz) - recency.indptr[users[order]] + 1
    return sparse.csr_matrix((places, recency.indices, recency.indptr), shape=recency.shape)


def _first_by_key(ids: tuple[str, ...], may: Flags, limit: int, seed: int) -> Indices:
    """Rows of at most so many, those with the smallest keys."""
    rows = np.flatnonzero(may).astype(np.int64)
    keys = id_keys([ids[row] for row in rows], seed)
    return np.sort(rows[np.argsort(keys, kind="stable")[:limit]])
