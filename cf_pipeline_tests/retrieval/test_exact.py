"""Exact search beside brute force in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from cf_pipeline.retrieval import exact
from cf_pipeline.retrieval.exact import NEIGHBOURS_SCHEMA, ExactSearch
from cf_pipeline.vectors import IndexedVectors


def vectors_of(n: int, d: int, seed: int = 0) -> IndexedVectors:
    drawn = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return IndexedVectors(tuple(f"p{i:03}" for i in range(n)), drawn)


def brute_force(vectors: IndexedVectors, query: int, k: int) -> list[str]:
    """Sorted in pure Python, by cosine in double precision."""
    rows = vectors.vectors.astype(np.float64)

    def cosine(other: int) -> float:
        lengths = np.sqrt(rows[query] @ rows[query]) * np.sqrt(rows[other] @ rows[other])
        return float(rows[query] @ rows[other] / lengths)

    others = [row for row in range(len(rows)) if row != query]
    return [vectors.ids[row] for row in sorted(others, key=cosine, reverse=True)[:k]]


@pytest.mark.parametrize("at_once", [1, 100, 10**7])
def test_neighbours_are_those_of_brute_force_however_the_blocks(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(exact, "_COSINES_AT_ONCE", at_once)
    vectors = vectors_of(40, 5)
    table = ExactSearch.of(vectors).neighbours(10)
    assert dict(table.schema) == NEIGHBOURS_SCHEMA
    for row, id_ in enumerate(vectors.ids):
        mine = table.filter(project_id=id_)
        assert mine["rank"].to_list() == [*range(1, 11)]
        assert mine["neighbour_id"].to_list() == brute_force(vectors, row, 10)
        assert mine["cosine"].is_sorted(descending=True)


def test_a_query_from_elsewhere_finds_everybody_and_reports_how_far_it_is() -> None:
    vectors, seen = vectors_of(6, 3), list[tuple[int, int]]()
    found = ExactSearch.of(vectors).nearest(
        -7 * vectors.vectors[:2], 8, progress=lambda done, total, _: seen.append((done, total))
    )
    assert seen[-1] == (2, 2)
    # The opposite of a vector is farthest from it, and two places stay empty.
    assert found.rows[:, 5].tolist() == [0, 1]
    assert found.cosines[:, 5] == pytest.approx(-1)
    assert found.rows[:, 6:].tolist() == [[-1, -1]] * 2
    assert np.isnan(found.cosines[:, 6:]).all()


def test_equals_have_an_order_that_is_the_same_for_all_and_follows_the_seed() -> None:
    same = IndexedVectors(tuple("abcdef"), np.ones((6, 2), dtype=np.float32))
    queries = np.ones((3, 2), dtype=np.float32)
    rows = ExactSearch.of(same).nearest(queries, 6).rows
    assert (rows == rows[0]).all()
    assert sorted(rows[0]) == [*range(6)]
    assert rows[0].tolist() != ExactSearch.of(same, seed=1).nearest(queries, 6).rows[0].tolist()


def test_a_vector_without_length_is_near_to_nothing() -> None:
    vectors = IndexedVectors(("zero", "one"), np.array([[0, 0], [1, 0]], dtype=np.float32))
    table = ExactSearch.of(vectors).neighbours(1)
    assert table["cosine"].to_list() == [0, 0]


def test_where_there_is_nothing_nothing_is_near() -> None:
    nothing = ExactSearch.of(vectors_of(0, 3))
    assert nothing.nearest(np.ones((2, 3), dtype=np.float32), 4).rows.tolist() == [[-1] * 4] * 2
    assert nothing.neighbours(4).is_empty()
