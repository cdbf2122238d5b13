"""Maps: neighbourhoods stay together, bytes repeat, few and equal vectors have a place, too."""

from __future__ import annotations

import numpy as np
import pytest

from cf_pipeline.retrieval.layout import laid_out
from cf_pipeline.vectors import IndexedVectors


def groups(n_each: int, n_groups: int = 4, d: int = 20) -> IndexedVectors:
    rng = np.random.default_rng(0)
    centres = 4 * rng.normal(size=(n_groups, d))
    vectors = np.repeat(centres, n_each, axis=0) + rng.normal(size=(n_groups * n_each, d))
    ids = tuple(f"p{row:04d}" for row in range(len(vectors)))
    return IndexedVectors(ids, vectors.astype(np.float32))


def test_what_is_near_stays_near() -> None:
    vectors = groups(n_each=30)
    places = laid_out(vectors)
    assert places.ids == vectors.ids
    assert places.vectors.dtype == np.float32
    assert places.vectors.min() == 0
    assert places.vectors.max() == 1
    apart = np.linalg.norm(places.vectors[:, np.newaxis] - places.vectors, axis=2)
    np.fill_diagonal(apart, np.inf)
    group = np.arange(120) // 30
    assert (group[apart.argmin(axis=1)] == group).all()


def test_the_same_bytes_whatever_the_length() -> None:
    vectors = groups(n_each=10)
    longer = IndexedVectors(vectors.ids, 2 * vectors.vectors)
    assert laid_out(vectors).vectors.tobytes() == laid_out(longer).vectors.tobytes()


def test_many_are_thinned_out_by_their_ids() -> None:
    vectors = groups(n_each=10)
    some = laid_out(vectors, most=25)
    assert len(some.ids) == 25
    assert list(some.ids) == sorted(some.ids)
    without = IndexedVectors(vectors.ids[:-1], vectors.vectors[:-1])
    assert len(set(laid_out(without, most=25).ids) & set(some.ids)) >= 24
    assert laid_out(vectors, most=25, seed=1).ids != some.ids


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_a_few(n: int) -> None:
    whole = groups(n_each=10)
    places = laid_out(IndexedVectors(whole.ids[:n], whole.vectors[:n]))
    assert places.vectors.shape == (n, 2)
    assert ((places.vectors >= 0) & (places.vectors <= 1)).all()


def test_all_alike_and_a_single_dimension() -> None:
    ids = tuple(f"p{row}" for row in range(20))
    alike = laid_out(IndexedVectors(ids, np.ones((20, 3), dtype=np.float32)))
    assert (alike.vectors == 0.5).all()
    line = np.where(np.arange(20) % 2, 1.0, -1.0).reshape(-1, 1).astype(np.float32)
    assert np.isfinite(laid_out(IndexedVectors(ids, line)).vectors).all()
