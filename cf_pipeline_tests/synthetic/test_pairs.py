"""Pairs at any size: as many as asked for, each once, the same for a seed, with tastes in them."""

from __future__ import annotations

import numpy as np

from cf_pipeline.synthetic.pairs import draw_pairs


def test_as_many_as_asked_for_each_once_and_the_same_for_a_seed() -> None:
    pairs = draw_pairs(50_000, 3)
    assert pairs.shape == (500, 400)
    assert pairs.nnz == 50_000
    assert pairs.has_canonical_format
    assert (pairs.data == 1).all()
    assert (pairs != draw_pairs(50_000, 3)).nnz == 0
    assert (pairs != draw_pairs(50_000, 4)).nnz > 0


def test_degrees_have_long_tails_and_users_share_tastes() -> None:
    pairs = draw_pairs(200_000, 0)
    of_users, of_projects = np.diff(pairs.indptr), np.bincount(pairs.indices)
    assert of_users.max() > 4 * np.median(of_users)
    assert of_projects.max() > 10 * np.median(of_projects)
    # Without communities the spectrum would be that of popularity alone, one large value.
    dense = pairs.toarray() - np.outer(of_users, of_projects) / pairs.nnz
    values = np.linalg.svd(dense, compute_uv=False)
    assert values[10] > 1.4 * values[150]
