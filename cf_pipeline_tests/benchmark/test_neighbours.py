"""Rows of a retrieval panel against their slow twin, and what their captions say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cf_pipeline.benchmark.inputs import SimilarityInputs
from cf_pipeline.benchmark.neighbours import RetrievalRow, panel_rows, retrieval_rows
from cf_pipeline.benchmark.pool import Pool, PoolRules, build_catalog, build_pool
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.errors import DataError
from cf_pipeline.figures.panels import retrieval_panel
from cf_pipeline.metrics.similarity import relevance
from cf_pipeline.vectors import IndexedVectors
from cf_pipeline_tests.benchmark.similarity_worlds import clustered_world, covers_frame


@pytest.fixture(scope="module")
def world() -> SimilarityInputs:
    return clustered_world()


@pytest.fixture(scope="module")
def pool(world: SimilarityInputs) -> Pool:
    return pool_of(world)


def pool_of(world: SimilarityInputs, **changed: object) -> Pool:
    judged = world.judged
    given = {"projects": judged.projects, "covers": judged.covers, "splits": judged.splits}
    catalog = build_catalog(**{**given, **changed}, factor_ids=judged.factors.ids)
    return build_pool(build_truth(judged.events), catalog, "test", PoolRules())


def cosine(vectors: IndexedVectors, a: str, b: str) -> float:
    first, second = vectors.rows([a, b]).astype(np.float64)
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def test_neighbors_are_the_nearest_comparable_ones(world: SimilarityInputs, pool: Pool) -> None:
    vectors = world.features["collaborative"]
    owners = dict(world.judged.projects.select("project_id", "owners").iter_rows())
    rows = retrieval_rows(pool, vectors, n_queries=10, n_neighbours=5)
    assert len(rows) == 10
    for row in rows:
        mine = set(owners[row.query] or [])
        others = [
            id_
            for id_ in pool.project_ids
            if id_ != row.query and not mine & set(owners[id_] or [])
        ]
        slow = sorted(others, key=lambda id_: -cosine(vectors, row.query, id_))[:5]
        assert list(row.neighbours) == slow
        expected = [cosine(vectors, row.query, id_) for id_ in slow]
        assert row.cosines == pytest.approx(expected, abs=2e-6)


def test_relevance_is_that_of_the_truth(world: SimilarityInputs, pool: Pool) -> None:
    rows = retrieval_rows(pool, world.features["collaborative"], n_neighbours=6)
    number = {id_: row for row, id_ in enumerate(pool.project_ids)}
    everything = relevance(pool.engagement, pool.engagement)
    for row in rows:
        query = number[row.query]
        assert row.popularity == pool.popularity[query]
        expected = [everything[query, number[id_]] for id_ in row.neighbours]
        assert row.relevances == pytest.approx(expected)
    assert any(value > 0 for row in rows for value in row.relevances)
    assert any(value == 0 for row in rows for value in row.relevances)


def mean_relevance(pool: Pool, vectors: IndexedVectors) -> float:
    rows = retrieval_rows(pool, vectors, n_queries=30)
    return float(np.mean([row.relevances for row in rows]))


def test_features_that_know_the_audience_find_more_of_it(
    world: SimilarityInputs, pool: Pool
) -> None:
    found = {name: mean_relevance(pool, vectors) for name, vectors in world.features.items()}
    assert found["collaborative"] > 2 * found["random"]


def test_what_looks_alike_is_no_neighbor(world: SimilarityInputs) -> None:
    ids = world.judged.covers["project_id"].to_list()
    twins = [f"look {int(id_[1:]) // 60}" for id_ in ids]
    pool = pool_of(world, covers=covers_frame(ids, look_component=twins))
    looks = dict(zip(ids, twins, strict=True))
    for row in retrieval_rows(pool, world.features["color"], n_queries=20):
        assert looks[row.query] not in {looks[id_] for id_ in row.neighbours}


def test_queries_are_spread_over_popularity(world: SimilarityInputs, pool: Pool) -> None:
    rows = retrieval_rows(pool, world.features["color"], n_queries=3)
    order = np.sort(pool.popularity)[::-1]
    for part, row in zip(np.array_split(order, 3), rows, strict=True):
        assert part[-1] <= row.popularity <= part[0]


def test_the_seed_chooses_and_nothing_else(world: SimilarityInputs, pool: Pool) -> None:
    vectors = world.features["color"]
    rows = retrieval_rows(pool, vectors, n_queries=4, seed=1)
    assert rows == retrieval_rows(pool, vectors, n_queries=4, seed=1)
    shuffled = np.random.default_rng(0).permutation(len(vectors.ids))
    mixed = IndexedVectors(tuple(vectors.ids[i] for i in shuffled), vectors.vectors[shuffled])
    assert rows == retrieval_rows(pool, mixed, n_queries=4, seed=1)
    others = retrieval_rows(pool, vectors, n_queries=4, seed=2)
    assert {row.query for row in rows} != {row.query for row in others}


def test_small_pools_give_what_they_have(world: SimilarityInputs, pool: Pool) -> None:
    n = len(pool.project_ids)
    rows = retrieval_rows(pool, world.features["color"], n_queries=n + 5, n_neighbours=n)
    assert sorted(row.query for row in rows) == list(pool.project_ids)
    # Not itself, and not what shares its owner.
    assert max(len(row.neighbours) for row in rows) <= n - 1
    assert retrieval_rows(pool, world.features["color"], n_queries=0) == ()


def test_a_project_without_a_vector_is_named(world: SimilarityInputs, pool: Pool) -> None:
    vectors = world.features["color"]
    gone = vectors.ids.index(pool.project_ids[0])
    rest = np.delete(np.arange(len(vectors.ids)), gone)
    less = IndexedVectors(tuple(vectors.ids[i] for i in rest), vectors.vectors[rest])
    with pytest.raises(DataError, match=f"first is '{pool.project_ids[0]}'"):
        retrieval_rows(pool, less)


@pytest.mark.parametrize(
    ("row", "caption"),
    [
        (
            RetrievalRow("p7", 1234, ("a", "b", "c"), (0.91, 0.8, 0.729), (0.1, 0.0, 0.02)),
            "1,234 users, shares audience with 1, 3 of 3, cosine 0.91 to 0.73: p7",
        ),
        (
            RetrievalRow("p7", 1, ("a",), (-0.5,), (0.0,)),
            "1 user, shares no audience of 1, cosine -0.50 to -0.50: p7",
        ),
        (RetrievalRow("p7", 2, (), (), ()), "2 users, nothing to compare with: p7"),
    ],
)
def test_captions(row: RetrievalRow, caption: str) -> None:
    assert row.caption == caption


def test_a_panel_takes_the_rows(world: SimilarityInputs, pool: Pool, tmp_path: Path) -> None:
    rows = retrieval_rows(pool, world.features["color"], n_queries=2, n_neighbours=3)
    paths = {id_: str(tmp_path / f"{id_}.png") for id_ in pool.project_ids}
    files, captions = panel_rows(rows, paths)
    assert [[path.stem for path in line] for line in files] == [
        [row.query, *row.neighbours] for row in rows
    ]
    assert captions == [row.caption for row in rows]
    assert retrieval_panel(files, captions).startswith(b"\x89PNG")
    del paths[rows[1].neighbours[2]]
    with pytest.raises(DataError, match=f"1 have none, the first is '{rows[1].neighbours[2]}'"):
        panel_rows(rows, paths)
