"""Who would come for what: inner products of factors, ranked.

A user is placed by the projects that they came for, by the same half-step that places a project by
its users with the sides exchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import polars as pl
from scipy import sparse

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.factorizer import Factorizer, Fixed
from cf_pipeline.metrics.keyed import id_keys
from cf_pipeline.metrics.ranking import rank_top_k
from cf_pipeline.vectors import IndexedVectors, Vector

RANKED_SCHEMA = {"rank": pl.Int32, "id": pl.String, "score": pl.Float32}


def ranked(
    query: Vector, places: IndexedVectors, k: int, without: Collection[str] = ()
) -> pl.DataFrame:
    """The k with the largest inner product with a query, best first.

    Args:
        query: factors of a user or of a project, shape (n_factors,).
        places: of the other side.
        k: how many.
        without: ids that are left out.

    Returns:
        Rows of RANKED_SCHEMA, rank from 1; fewer than k where there are no more.
    """
    scores = (places.vectors @ query)[np.newaxis]
    left_out = set(without)
    allowed = np.array([[id_ not in left_out for id_ in places.ids]], dtype=np.bool_)
    asked = np.zeros(1, dtype=np.uint64)
    order = rank_top_k(scores, allowed.reshape(scores.shape), k, asked, id_keys(places.ids, 0))[0]
    found = order[order >= 0]
    return pl.DataFrame(
        {
            "rank": np.arange(1, len(found) + 1),
            "id": [places.ids[row] for row in found],
            "score": scores[0, found],
        },
        schema=RANKED_SCHEMA,
    )


def place_user(
    factorizer: Factorizer,
    projects: IndexedVectors,
    fitted: Mapping[str, int],
    n_users: int,
    came_for: Sequence[str],
    confidence: float,
) -> Vector:
    """Factors of a user who came for some projects, the projects' factors fixed.

    Args:
        factorizer: that found the factors.
        projects: factors of projects.
        fitted: those that users were fitted to, to their number of users; the others count only
            where the user came for them.
        n_users: who were fitted.
        came_for: ids of projects.
        confidence: of each of them.

    Returns:
        Shape (n_factors,).

    Raises:
        DataError: a project has no factors.
    """
    wanted = set(came_for)
    unplaced = sorted(wanted - set(projects.ids))
    if unplaced:
        raise DataError(
            f"{len(unplaced)} of {len(wanted)} projects have no latent factors, the first is "
            f"{unplaced[0]!r}: pruning cut it, or none of its users was factorized. Name others."
        )
    known = [id_ for id_ in projects.ids if id_ in wanted or id_ in fitted]
    columns = [column for column, id_ in enumerate(known) if id_ in wanted]
    values = np.full(len(columns), confidence, dtype=np.float32)
    row = sparse.csr_matrix(
        (values, (np.zeros(len(columns), dtype=np.int64), columns)), shape=(1, len(known))
    )
    degrees = np.array([fitted.get(id_, 0) for id_ in known], dtype=np.int64)
    fixed = Fixed("project", projects.rows(known), degrees, n_users)
    return factorizer.place(fixed, row).reshape(-1)
