"""Ranking measures against hand-computed values and slow twins."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from cf_pipeline.metrics.keyed import id_keys, pair_keys
from cf_pipeline.metrics.ranking import (
    dcg_at_k,
    ideal_dcg_at_k,
    rank_top_k,
    recall_at_k,
    taken,
    taken_sparse,
)


def slow_ndcg(order: list[int], gains: list[float], k: int) -> float:
    dcg = sum(gains[item] / math.log2(rank + 1) for rank, item in enumerate(order[:k], start=1))
    best = sorted(gains, reverse=True)[:k]
    ideal = sum(gain / math.log2(rank + 1) for rank, gain in enumerate(best, start=1))
    return dcg / ideal if ideal > 0 else math.nan


def test_recall_divides_by_all_relevant() -> None:
    # 2 hits among the first 3, 5 relevant: 2 / 5, not 2 / min(5, 3).
    hits = np.array([[True, False, True, True]])
    assert recall_at_k(hits, np.array([5]), k=3).tolist() == [0.4]


def test_recall_of_a_query_without_relevant_items_is_nan() -> None:
    assert np.isnan(recall_at_k(np.zeros((1, 3), dtype=bool), np.array([0]), k=3)).all()


def test_dcg_by_hand() -> None:
    # Ranked gains 0, 2, 1: DCG = 2 / log2(3) + 1 / log2(4) = 1.2618595 + 0.5
    assert dcg_at_k(np.array([[0.0, 2.0, 1.0]]), k=3) == pytest.approx(1.7618595)
    # Candidates hold 2, 1, 0: ideal = 2 / log2(2) + 1 / log2(3) = 2 + 0.6309298
    assert ideal_dcg_at_k(np.array([[1.0, 0.0, 2.0]]), k=3) == pytest.approx(2.6309298)


def test_the_ideal_is_truncated_at_k() -> None:
    # Three relevant, k = 1: the first hit is all that can be had.
    assert ideal_dcg_at_k(np.array([[1.0, 1.0, 1.0]]), k=1).tolist() == [1.0]


def test_without_gain_both_are_zero() -> None:
    assert dcg_at_k(np.zeros((1, 2)), k=2).tolist() == [0.0]
    assert ideal_dcg_at_k(np.zeros((1, 4)), k=2).tolist() == [0.0]


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 12)),
               elements=st.floats(0, 8, width=16)),
    st.integers(1, 14),
    st.integers(0, 99),
)  # fmt: skip
def test_ndcg_equals_its_slow_twin_and_lies_in_range(gains: np.ndarray, k: int, seed: int) -> None:
    n_queries, n = gains.shape
    scores = np.random.default_rng(seed).normal(size=gains.shape)
    keys = id_keys([f"c{i}" for i in range(n)], seed)
    ranked = rank_top_k(
        scores, np.ones_like(gains, dtype=bool), k, keys[:1].repeat(n_queries), keys
    )
    dcg, ideal = dcg_at_k(taken(gains, ranked), k), ideal_dcg_at_k(gains, k)
    for row in range(n_queries):
        expected = slow_ndcg(np.argsort(-scores[row]).tolist(), gains[row].tolist(), k)
        value = dcg[row] / ideal[row] if ideal[row] > 0 else math.nan
        assert value == pytest.approx(expected, nan_ok=True)
    assert ((dcg >= 0) & (dcg <= ideal * (1 + 1e-12))).all()


def test_dcg_of_the_ideal_order_is_the_ideal() -> None:
    gains = np.array([[0.3, 0.9, 0.1, 0.5]])
    assert dcg_at_k(-np.sort(-gains), 3) == pytest.approx(ideal_dcg_at_k(gains, 3))


def test_rank_top_k_leaves_out_what_is_not_allowed_and_pads() -> None:
    keys = id_keys(["a", "b", "c", "d"], 0)
    scores = np.array([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 2.0, 1.0]])
    allowed = np.array([[False, True, True, True], [False, False, False, True]])
    ranked = rank_top_k(scores, allowed, 2, keys[:2], keys)
    assert ranked.tolist() == [[1, 2], [3, -1]]
    assert rank_top_k(scores, np.zeros_like(allowed), 2, keys[:2], keys).tolist() == [[-1, -1]] * 2
    assert rank_top_k(scores[:, :0], allowed[:, :0], 2, keys[:2], keys[:0]).tolist() == (
        [[-1, -1]] * 2
    )


def test_ties_are_broken_at_random_but_stay_when_others_come_and_go() -> None:
    ids = [f"p{i}" for i in range(40)]
    keys = id_keys(ids, 0)
    equal = np.zeros((40, 40))
    everyone = np.ones((40, 40), dtype=bool)
    ranked = rank_top_k(equal, everyone, 40, keys, keys)
    firsts = ranked[:, 0]
    assert len(set(firsts.tolist())) > 15  # 40 draws of 40: 25 different ones are expected
    # Without candidate 5 everybody else keeps the order.
    rest = np.array([i for i in range(40) if i != 5])
    without = rank_top_k(equal[:, rest], everyone[:, rest], 39, keys, keys[rest])
    for row in range(40):
        assert rest[without[row]].tolist() == [i for i in ranked[row] if i != 5]


def test_ties_at_the_cut_never_push_out_a_better_candidate() -> None:
    keys = id_keys([f"p{i}" for i in range(30)], 1)
    scores = np.zeros((30, 30))
    scores[:, 17] = 1.0
    ranked = rank_top_k(scores, np.ones_like(scores, dtype=bool), 5, keys, keys)
    assert (ranked[:, 0] == 17).all()
    assert all(len(set(row)) == 5 for row in ranked.tolist())


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 10]), st.integers(1, 4))
def test_ranking_equals_sorting_by_score_and_key(seed: int, k: int, n_levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, n_levels, (4, 60)).astype(np.float32)
    allowed = rng.random((4, 60)) < rng.choice([0.05, 0.9])
    queries, candidates = id_keys(list("abcd"), seed), id_keys([f"p{i}" for i in range(60)], seed)
    ranked = rank_top_k(scores, allowed, k, queries, candidates)
    for row in range(4):
        keys = pair_keys(queries[row : row + 1], candidates)
        slow = sorted(np.flatnonzero(allowed[row]), key=lambda c: (-scores[row, c], keys[c]))[:k]
        assert ranked[row].tolist() == slow + [-1] * (k - len(slow))


def test_taken_from_sparse_gains_is_the_same() -> None:
    rng = np.random.default_rng(0)
    gains = rng.random((6, 9)) * (rng.random((6, 9)) < 0.4)
    ranked = np.where(rng.random((6, 4)) < 0.2, -1, rng.integers(0, 9, (6, 4)))
    assert np.array_equal(taken_sparse(sparse.csr_matrix(gains), ranked), taken(gains, ranked))
