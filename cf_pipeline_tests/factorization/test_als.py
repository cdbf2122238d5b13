"""ALS against its dense twin, its objective, fold-in, and a matrix whose answer is known."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.als import Als, fold_in
from cf_pipeline.factorization.factorizer import Factors, Fitting
from cf_pipeline_tests.factorization.dense_als import dense_objective, half_step

SMALL = Als(regularization=0.5, n_iterations=8)


def confidences(seed: int = 0, shape: tuple[int, int] = (12, 9)) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    dense = rng.uniform(1, 5, shape) * (rng.random(shape) < 0.4)
    dense[0] = 0  # a user without events must not break anything
    return sparse.csr_matrix(dense.astype(np.float32))


def factorize(matrix: sparse.csr_matrix, als: Als = SMALL, **more: Any) -> Factors:
    return als.fit(matrix, Fitting(**{"n_factors": 3, "threads": 1, **more}))


def test_the_objective_equals_its_sum_over_cells() -> None:
    """implicit divides it by the confidence of all cells, which is undone."""
    matrix = confidences()
    found = factorize(matrix)
    dense = matrix.toarray().astype(np.float64)
    expected = dense_objective(dense, found.user_factors, found.item_factors, 0.5)
    assert found.objective[-1] == pytest.approx(expected, rel=1e-5)


def test_the_last_half_step_is_the_reference_half_step() -> None:
    matrix = confidences()
    factors = factorize(matrix)
    # implicit solves projects last: they must be optimal for the users that it returns.
    expected = half_step(matrix.T.toarray().astype(np.float64), factors.user_factors, 0.5)
    np.testing.assert_allclose(factors.item_factors, expected, atol=2e-4)


def test_the_objective_never_rises() -> None:
    objective = factorize(confidences(3, (60, 40))).objective
    assert len(objective) == SMALL.n_iterations
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(objective))


def test_threads_and_repetition_do_not_change_the_factors() -> None:
    matrix = confidences(4, (200, 100))
    first = factorize(matrix, threads=1)
    second = factorize(matrix, threads=2)
    assert np.array_equal(first.item_factors, second.item_factors)


def test_folding_in_a_train_project_gives_its_factor_back() -> None:
    matrix = confidences()
    factors = factorize(matrix)
    folded = fold_in(factors.user_factors, matrix.T.tocsr(), SMALL.regularization)
    np.testing.assert_allclose(folded, factors.item_factors, atol=2e-4)


def test_a_project_without_users_is_folded_in_at_zero() -> None:
    folded = fold_in(np.ones((4, 2), dtype=np.float32), sparse.csr_matrix((1, 4)), 0.1)
    assert not folded.any()


def test_fold_in_refuses_projects_as_columns() -> None:
    with pytest.raises(DataError, match="one column per user factor"):
        fold_in(np.ones((4, 2), dtype=np.float32), sparse.csr_matrix((3, 5)), 0.1)


def test_two_communities_are_told_apart() -> None:
    # Users and projects of the same parity meet; the diagonal is withheld. Factors must rank the
    # withheld project of one's own parity above every project of the other.
    n = 20
    parity = np.equal.outer(np.arange(n) % 2, np.arange(n) % 2)
    dense = np.where(parity, 5.0, 0.0)
    np.fill_diagonal(dense, 0.0)
    als = Als(regularization=0.1, n_iterations=15)
    factors = factorize(sparse.csr_matrix(dense.astype(np.float32)), als, n_factors=2)
    scores = factors.user_factors @ factors.item_factors.T
    withheld = np.diag(scores)
    strangers = np.where(parity, -np.inf, scores).max(axis=1)
    assert (withheld > strangers + 0.3).all()


def test_it_reports_every_iteration() -> None:
    heard: list[tuple[int, int]] = []
    factorize(confidences(), on_iteration=lambda i, n, value: heard.append((i, n)))
    assert heard == [(i, 8) for i in range(1, 9)]


def test_equations_without_a_digit_left_are_told() -> None:
    """Above pruning.max_confidence, which no run gets to."""
    matrix = confidences(0, (400, 300))
    matrix.data[5] = 1e12
    with pytest.raises(DataError, match=r"largest confidence is 1e\+12. Lower pruning.max_conf"):
        factorize(matrix, Als(regularization=0.1), n_factors=64)


class TestStart:
    def test_without_one_implicit_draws_its_own(self) -> None:
        matrix = confidences(5, (40, 30))
        with threadpool_limits(limits=1, user_api="blas"):
            model = AlternatingLeastSquares(
                factors=3, regularization=0.5, alpha=1.0, iterations=8, random_state=0, use_cg=False
            )
            model.fit(matrix, show_progress=False)
        cold = factorize(matrix)
        drawn = factorize(matrix, start=SMALL.initial((40, 30), Fitting(3)))
        for factors in (cold, drawn):
            assert np.array_equal(factors.user_factors, model.user_factors)
            assert np.array_equal(factors.item_factors, model.item_factors)

    def test_the_solution_is_where_it_stays(self) -> None:
        matrix = confidences(6, (60, 40))
        solved = factorize(matrix, SMALL.model_copy(update={"n_iterations": 300}))
        before = solved.user_factors.copy(), solved.item_factors.copy()
        once = SMALL.model_copy(update={"n_iterations": 1})
        start = solved.user_factors, solved.item_factors
        warm = factorize(matrix, once, seed=9, start=start)
        assert warm.objective[0] == pytest.approx(solved.objective[-1], rel=1e-4)
        assert factorize(matrix, once, seed=9).objective[0] > 1.02 * solved.objective[-1]
        np.testing.assert_allclose(warm.item_factors, solved.item_factors, atol=1e-2)
        # The factors handed in are nobody's to change.
        assert np.array_equal(solved.user_factors, before[0])
        assert np.array_equal(solved.item_factors, before[1])

    def test_other_shapes_are_refused(self) -> None:
        users, items = SMALL.initial((12, 9), Fitting(3))
        with pytest.raises(
            DataError, match=r"shapes \[\(12, 3\), \(9, 3\)\].*got \[\(9, 3\), \(12"
        ):
            factorize(confidences(), start=(items, users))
