"""The arithmetic of the similarity protocol against hand-computed values and slow twins."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from cf_pipeline.errors import DataError
from cf_pipeline.metrics.keyed import id_keys
from cf_pipeline.metrics.similarity import (
    TripletRules,
    co_engagement,
    draw_triplets,
    popularity_bins,
    relevance,
    triplet_accuracy,
    user_weights,
)


def slow_relevance(pairs: np.ndarray) -> np.ndarray:
    """The protocol's formulas, cell by cell, from a dense 0/1 matrix of projects x users."""
    n_projects, n_users = pairs.shape
    total = pairs.sum()
    d_user, d_project = pairs.sum(axis=0), pairs.sum(axis=1)
    w = [math.log(n_projects / d_user[u]) for u in range(n_users)]
    norm = [math.sqrt(sum(w[u] ** 2 for u in range(n_users) if row[u])) for row in pairs]
    null = sum(w[u] ** 2 * (d_user[u] / total) ** 2 for u in range(n_users))
    answer = np.zeros((n_projects, n_projects))
    for i in range(n_projects):
        for j in range(n_projects):
            if norm[i] == 0 or norm[j] == 0:
                continue
            common = sum(w[u] ** 2 for u in range(n_users) if pairs[i, u] and pairs[j, u])
            expected = d_project[i] * d_project[j] * null
            answer[i, j] = max(0.0, (common - expected) / (norm[i] * norm[j]))
    return answer


def random_pairs(seed: int, n_projects: int = 14, n_users: int = 9) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pairs = rng.random((n_projects, n_users)) < 0.3
    pairs[np.arange(n_projects), rng.integers(0, n_users, n_projects)] = True
    return pairs[:, pairs.any(axis=0)].astype(float)


def test_relevance_by_hand() -> None:
    # Four projects, two users: u has projects 0 and 1, v has project 2 and 3. d_u = 2, E = 4.
    # w = log(4 / 2), |i| = w, d_i = 1.
    # Same user: c = w^2 / w^2 = 1. Expected: 1 * 1 * 2 * w^2 (2 / 4)^2 / w^2 = 0.5. So 0.5.
    # Different users: c = 0, so max(0, -0.5) = 0.
    pairs = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=float)
    world = co_engagement(sparse.csr_matrix(pairs))
    expected = [[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]]
    assert relevance(world, world) == pytest.approx(np.array(expected))


def test_user_weights_are_logarithms() -> None:
    assert user_weights(np.array([1, 5, 10]), 10) == pytest.approx([math.log(10), math.log(2), 0.0])


@given(st.integers(0, 5_000))
def test_relevance_equals_its_slow_twin(seed: int) -> None:
    pairs = random_pairs(seed)
    world = co_engagement(sparse.csr_matrix(pairs))
    expected = slow_relevance(pairs)
    assert relevance(world, world) == pytest.approx(expected, abs=1e-12)
    rows, columns = np.array([3, 0]), np.array([5, 3, 1])
    block = relevance(world.take(rows), world.take(columns))
    assert block == pytest.approx(expected[np.ix_(rows, columns)], abs=1e-12)
    assert (block >= 0).all()
    assert (block <= 1).all()


def test_a_user_of_everything_says_nothing() -> None:
    # The only user of project 2 has all projects: weight log(1) = 0, norm 0, relevance 0.
    pairs = np.array([[1, 1], [1, 1], [1, 0]], dtype=float)
    world = co_engagement(sparse.csr_matrix(pairs))
    values = relevance(world, world)
    assert values[2].tolist() == [0, 0, 0]
    assert np.isfinite(values).all()


def test_independent_users_leave_little_relevance_and_shared_taste_much() -> None:
    rng = np.random.default_rng(0)
    community = rng.integers(0, 4, 60)
    taste = rng.integers(0, 4, 200)
    near = np.where(taste[np.newaxis] == community[:, np.newaxis], 0.3, 0.02)
    pairs = (rng.random((60, 200)) < near).astype(float)
    world = co_engagement(sparse.csr_matrix(pairs[:, pairs.any(axis=0)]))
    values = relevance(world, world)
    same = community[:, np.newaxis] == community
    np.fill_diagonal(same, False)
    assert values[same].mean() > 0.1
    assert values[~same & ~np.eye(60, dtype=bool)].mean() < 0.01


def test_repeated_pairs_and_empty_projects_are_refused() -> None:
    twice = sparse.csr_matrix((np.ones(3), np.array([0, 0, 1]), np.array([0, 2, 3])), shape=(2, 2))
    with pytest.raises(DataError, match="1 are repeated"):
        co_engagement(twice)
    with pytest.raises(DataError, match="1 projects and 0 users have none"):
        co_engagement(sparse.csr_matrix(np.array([[1.0], [0.0]])))


@given(st.lists(st.integers(1, 12), min_size=1, max_size=60), st.sampled_from([3, 10]))
def test_bins_never_divide_equal_popularity_and_rise_with_it(values: list[int], n: int) -> None:
    popularity = np.array(values)
    bins = popularity_bins(popularity, n)
    assert bins.min() >= 0
    assert bins.max() < n
    for value in set(values):
        assert len(set(bins[popularity == value].tolist())) == 1
    order = np.argsort(popularity, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()


def test_bins_of_different_values_are_even() -> None:
    assert np.bincount(popularity_bins(np.arange(30), 3)).tolist() == [10, 10, 10]
    # Eight of ten share a value; the cuts at 1/3 and 2/3 both fall on it, the middle stays empty.
    assert popularity_bins(np.array([1] * 8 + [2, 3]), 3).tolist() == [0] * 8 + [2, 2]


def drawn_triplets(seed: int, n_triplets: int = 40) -> tuple:
    rng = np.random.default_rng(seed)
    n = 60
    values = rng.random((n, n)) * (rng.random((n, n)) < 0.3)
    comparable = rng.random((n, n)) < 0.9
    np.fill_diagonal(comparable, False)
    deciles = popularity_bins(rng.integers(1, 30, n), 10)
    keys = id_keys([f"p{i}" for i in range(n)], seed)
    rules = TripletRules(deciles, keys, keys, n_triplets)
    return values, comparable, deciles, draw_triplets(values, comparable, rules)


def test_every_triplet_obeys_the_rules() -> None:
    values, comparable, deciles, (positives, negatives) = drawn_triplets(0)
    for anchor in range(60):
        relevant = np.flatnonzero(comparable[anchor] & (values[anchor] > 0))
        best = set(relevant[np.argsort(-values[anchor, relevant])][:10].tolist())
        assert set(positives[anchor].tolist()) <= best
        assert comparable[anchor, negatives[anchor]].all()
        assert (values[anchor, negatives[anchor]] == 0).all()
        assert (deciles[positives[anchor]] == deciles[negatives[anchor]]).all()


def test_every_usable_positive_and_negative_is_drawn_in_the_long_run() -> None:
    values, comparable, deciles, (positives, negatives) = drawn_triplets(1, n_triplets=2000)
    for anchor in range(10):
        relevant = np.flatnonzero(comparable[anchor] & (values[anchor] > 0))
        best = relevant[np.argsort(-values[anchor, relevant])][:10]
        zero = np.flatnonzero(comparable[anchor] & (values[anchor] == 0))
        usable = [p for p in best if (deciles[zero] == deciles[p]).any()]
        counts = np.bincount(positives[anchor], minlength=60)[usable]
        # 2000 draws of at most 10: 200 expected, deviation below 14.
        assert (np.abs(counts - 2000 / len(usable)) < 5 * 15).all()
        expected = {z for z in zero if deciles[z] in deciles[usable]}
        assert set(negatives[anchor].tolist()) == expected


def test_an_anchor_without_a_pair_is_left_out() -> None:
    keys = id_keys(["a", "b", "c"], 0)
    values = np.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, 0]])
    comparable = ~np.eye(3, dtype=bool)
    # a's positive b is of decile 1, its only zero c of decile 0; c has no positive at all.
    rules = TripletRules(np.array([0, 1, 0]), keys, keys, 4)
    positives, negatives = draw_triplets(values, comparable, rules)
    assert positives[0].tolist() == [-1] * 4
    assert positives[1].tolist() == [0] * 4
    assert negatives[1].tolist() == [2] * 4
    assert negatives[2].tolist() == [-1] * 4


def test_ties_count_half() -> None:
    won = triplet_accuracy(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[1.0, 1.0, 4.0, 1.0]]))
    assert won.tolist() == [(0.5 + 1 + 0 + 1) / 4]
