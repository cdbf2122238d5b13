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
from cf_pipeline.factorization.als import Als
from cf_pipeline.factorization.factorizer import Factors, Fitting, Fixed
from cf_pipeline_tests.factorization.dense_als import dense_objective, exact, lambdas_of

SMALL = Als(
    regularization=0.5,
    regularization_exponent=0,
    unobserved_weight=1,
    n_iterations=8,
    solver="cholesky",
)
"""As `implicit` does it by itself."""
SCALED = SMALL.model_copy(
    update={"regularization": 0.05, "regularization_exponent": 1.0, "unobserved_weight": 0.2}
)
BOTH = pytest.mark.parametrize("als", [SMALL, SCALED], ids=["one lambda", "scaled"])


def confidences(seed: int = 0, shape: tuple[int, int] = (12, 9)) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    dense = rng.uniform(1, 5, shape) * (rng.random(shape) < 0.4)
    dense[0] = 0  # a user without events must not break anything
    return sparse.csr_matrix(dense.astype(np.float32))


def factorize(matrix: sparse.csr_matrix, als: Als = SMALL, **more: Any) -> Factors:
    return als.fit(matrix, Fitting(**{"n_factors": 3, "threads": 1, **more}))


@BOTH
def test_the_objective_equals_its_sum_over_cells(als: Als) -> None:
    """implicit divides it by the weight of all cells, which is undone."""
    matrix = confidences()
    found = factorize(matrix, als)
    dense = matrix.toarray().astype(np.float64)
    users, projects = lambdas_of(als, dense), lambdas_of(als, dense.T)
    expected = dense_objective(
        dense, found.user_factors, found.item_factors, users, projects, als.unobserved_weight
    )
    assert found.objective[-1] == pytest.approx(expected, rel=1e-5)
    if als is SCALED:
        assert len(np.unique(users)) > 2


@BOTH
def test_the_last_half_step_is_the_reference_half_step(als: Als) -> None:
    matrix = confidences()
    factors = factorize(matrix, als)
    # implicit solves projects last: they must be optimal for the users that it returns.
    expected = exact(als, matrix.T.toarray().astype(np.float64), factors.user_factors)
    np.testing.assert_allclose(factors.item_factors, expected, atol=5e-4)


@BOTH
def test_conjugate_gradient_goes_to_the_same_objective(als: Als) -> None:
    matrix = confidences(3, (60, 40))
    by_cg = als.model_copy(update={"solver": "cg", "n_iterations": 60})
    by_cholesky = als.model_copy(update={"n_iterations": 60})
    ends = [factorize(matrix, method).objective[-1] for method in (by_cg, by_cholesky)]
    assert ends[0] == pytest.approx(ends[1], rel=1e-4)


@pytest.mark.parametrize("solver", ["cg", "cholesky"])
@BOTH
def test_the_objective_never_rises(als: Als, solver: str) -> None:
    method = als.model_copy(update={"solver": solver})
    objective = factorize(confidences(3, (60, 40)), method).objective
    assert len(objective) == SMALL.n_iterations
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(objective))


@pytest.mark.parametrize("solver", ["cg", "cholesky"])
def test_threads_and_repetition_do_not_change_the_factors(solver: str) -> None:
    matrix = confidences(4, (200, 100))
    method = SCALED.model_copy(update={"solver": solver})
    first, *others = (factorize(matrix, method, threads=n) for n in (1, 1, 2))
    for found in others:
        assert np.array_equal(first.user_factors, found.user_factors)
        assert np.array_equal(first.item_factors, found.item_factors)


class TestPlacing:
    @BOTH
    def test_of_a_train_project_gives_its_factors_back(self, als: Als) -> None:
        matrix = confidences()
        found = factorize(matrix, als)
        users = Fixed("user", found.user_factors, np.diff(matrix.indptr).astype(np.int64), 9)
        placed = als.place(users, matrix.T.tocsr())
        np.testing.assert_allclose(placed, found.item_factors, atol=5e-4)

    @BOTH
    def test_of_a_new_user_is_the_reference_half_step(self, als: Als) -> None:
        found = factorize(confidences(), als)
        new = confidences(9, (4, 9))
        projects = Fixed("project", found.item_factors, np.full(9, 4), 12)
        expected = exact(als, new.toarray().astype(np.float64), found.item_factors)
        np.testing.assert_allclose(als.place(projects, new), expected, atol=1e-5)

    def test_of_nothing_is_zero(self) -> None:
        users = Fixed("user", np.ones((4, 2), dtype=np.float32), np.ones(4, dtype=np.int64), 3)
        assert not SMALL.place(users, sparse.csr_matrix((1, 4))).any()

    def test_refuses_projects_as_columns(self) -> None:
        users = Fixed("user", np.ones((4, 2), dtype=np.float32), np.ones(4, dtype=np.int64), 3)
        with pytest.raises(DataError, match=r"one column per fixed row \(4\), got shape \(3, 5\)"):
            SMALL.place(users, sparse.csr_matrix((3, 5)))


def test_two_communities_are_told_apart() -> None:
    # Users and projects of the same parity meet; the diagonal is withheld. Factors must rank the
    # withheld project of one's own parity above every project of the other.
    n = 20
    parity = np.equal.outer(np.arange(n) % 2, np.arange(n) % 2)
    dense = np.where(parity, 5.0, 0.0)
    np.fill_diagonal(dense, 0.0)
    als = SMALL.model_copy(update={"regularization": 0.1, "n_iterations": 15})
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
        factorize(matrix, SMALL, n_factors=64)


class TestStart:
    def test_without_one_implicit_draws_its_own(self) -> None:
        matrix = confidences(5, (40, 30))
        with threadpool_limits(limits=1, user_api="blas"):
            model = AlternatingLeastSquares(
                factors=3, regularization=0.5, alpha=1.0, iterations=8, random_state=0, use_cg=False
            )
            model.fit(matrix, show_progress=False)
        cold = factorize(matrix)
        as_many = SMALL.model_copy(update={"warm_iterations": 8})
        drawn = factorize(matrix, as_many, start=SMALL.initial((40, 30), Fitting(3)))
        for factors in (cold, drawn):
            assert np.array_equal(factors.user_factors, model.user_factors)
            assert np.array_equal(factors.item_factors, model.item_factors)

    def test_the_solution_is_where_it_stays(self) -> None:
        matrix = confidences(6, (60, 40))
        solved = factorize(matrix, SMALL.model_copy(update={"n_iterations": 300}))
        before = solved.user_factors.copy(), solved.item_factors.copy()
        once = SMALL.model_copy(update={"n_iterations": 1, "warm_iterations": 1})
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
