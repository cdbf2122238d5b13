"""The slide's factorization against its dense twin, what is drawn, and what happens without."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from cf_pipeline.errors import DataError
from cf_pipeline.factorization import half_steps
from cf_pipeline.factorization.factorizer import Factors, Fitting, Fixed
from cf_pipeline.factorization.half_steps import Expected, Weighed, least_squares
from cf_pipeline.factorization.negatives import with_negatives
from cf_pipeline.factorization.sampled_mf import SampledMf
from cf_pipeline_tests.factorization.dense_sampled import SKIPPED, dense_objective, half_step

SMALL = SampledMf(regularization=0.1, negatives=1.0, drawn="popularity", n_iterations=6)


def events(seed: int = 0, shape: tuple[int, int] = (30, 20), share: float = 0.2):
    rng = np.random.default_rng(seed)
    dense = rng.uniform(1, 5, shape) * (rng.random(shape) < share)
    dense[0] = 0  # a user without events must not break anything
    return sparse.csr_matrix(dense.astype(np.float32))


def as_cells(cells: sparse.csr_matrix) -> np.ndarray:
    dense = np.full(cells.shape, SKIPPED)
    coo = cells.tocoo()
    dense[coo.row, coo.col] = coo.data
    return dense


def factorize(matrix: sparse.csr_matrix, method: SampledMf = SMALL, **more: Any) -> Factors:
    return method.fit(matrix, Fitting(**{"n_factors": 3, "threads": 1, **more}))


class TestNegatives:
    def test_observed_cells_are_one_and_drawn_ones_zero_where_nothing_was(self) -> None:
        matrix = events(share=0.1)
        cells = with_negatives(matrix, 1.5, "popularity", 0).tocoo()
        observed = {*zip(*matrix.nonzero(), strict=True)}
        ones = {(u, i) for u, i, v in zip(cells.row, cells.col, cells.data, strict=True) if v}
        zeros = {(u, i) for u, i, v in zip(cells.row, cells.col, cells.data, strict=True) if not v}
        assert ones == observed
        assert not zeros & observed
        of_user = np.bincount([u for u, _ in zeros], minlength=30)
        assert of_user.tolist() == [round(1.5 * n) for n in np.diff(matrix.indptr)]

    def test_as_often_as_popular_or_all_alike(self) -> None:
        rng = np.random.default_rng(0)
        # Two projects of three have most of the events.
        dense = (rng.random((4000, 30)) < np.where(np.arange(30) < 20, 0.005, 0.05)).astype(float)
        matrix = sparse.csr_matrix(dense)
        for drawn, expected in (("popularity", 0.83), ("uniform", 0.33)):
            cells = with_negatives(matrix, 1.0, drawn, 0).tocoo()  # type: ignore[arg-type]
            assert (cells.col[cells.data == 0] >= 20).mean() == pytest.approx(expected, abs=0.04)

    def test_who_has_nearly_everything_gets_what_is_left(self) -> None:
        matrix = sparse.csr_matrix(np.array([[1, 1, 1, 0], [1, 0, 0, 0]], dtype=np.float32))
        cells = as_cells(with_negatives(matrix, 3.0, "uniform", 0))
        assert cells.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]


def test_the_objective_equals_its_sum_over_cells_and_never_rises() -> None:
    matrix = events()
    found = factorize(matrix)
    cells = as_cells(with_negatives(matrix, 1.0, "popularity", 0))
    users, projects = (f.astype(np.float64) for f in (found.user_factors, found.item_factors))
    expected = dense_objective(cells, users, projects, 0.1)
    assert found.objective[-1] == pytest.approx(expected, rel=1e-5)
    assert len(found.objective) == 6
    assert all(b <= a * (1 + 1e-6) for a, b in itertools.pairwise(found.objective))


@pytest.mark.parametrize("at_once", [1, 100, 10**6])
def test_a_half_step_is_the_reference_half_step(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(half_steps, "_NUMBERS_AT_ONCE", at_once)
    cells = with_negatives(events(3, (60, 40)), 2.0, "uniform", 1)
    fixed = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    solved = least_squares(
        Weighed(cells), fixed, 0.07 * np.diff(cells.indptr).astype(np.float64), threads=2
    )
    wide = fixed.astype(np.float64)
    expected = half_step(as_cells(cells), wide, 0.07)
    np.testing.assert_allclose(solved.factors, expected, atol=1e-5)
    error = dense_objective(as_cells(cells), expected, wide, 0.0)
    assert solved.squared_error == pytest.approx(error, rel=1e-5)


def test_threads_and_repetition_do_not_change_the_factors_and_a_seed_does() -> None:
    matrix = events(4, (200, 100))
    first = factorize(matrix)
    for threads in (1, 2, 3):
        again = factorize(matrix, threads=threads)
        assert np.array_equal(first.item_factors, again.item_factors)
    assert not np.array_equal(first.item_factors, factorize(matrix, seed=1).item_factors)


def test_it_goes_on_where_it_was_left() -> None:
    matrix = events(5, (60, 40))
    whole = factorize(matrix)
    half = SMALL.model_copy(update={"n_iterations": 3, "warm_iterations": 3})
    before = factorize(matrix, half)
    after = factorize(matrix, half, start=(before.user_factors, before.item_factors))
    assert np.array_equal(after.item_factors, whole.item_factors)
    assert (*before.objective, *after.objective) == whole.objective
    with pytest.raises(DataError, match="factors to start from must have the shapes"):
        factorize(matrix, half, start=(before.item_factors, before.user_factors))


def test_without_negatives_all_point_the_same_way() -> None:
    """The slide to the letter: one direction explains cells that all hold 1."""
    matrix = events(6, (200, 80))
    # The start points anywhere, and is forgotten the sooner the larger lambda is.
    literal = factorize(matrix, SampledMf(negatives=0.0, n_iterations=30), n_factors=8)
    drawn = factorize(matrix, SampledMf(n_iterations=30), n_factors=8)

    def mean_cosine(factors: np.ndarray) -> float:
        lengths = np.linalg.norm(factors, axis=1, keepdims=True)
        unit = factors[lengths[:, 0] > 0] / lengths[lengths[:, 0] > 0]
        return float((unit @ unit.T).mean())

    assert mean_cosine(literal.item_factors) > 0.99
    assert mean_cosine(drawn.item_factors) < 0.9


@pytest.mark.parametrize("drawn", ["popularity", "uniform"])
@pytest.mark.parametrize("side", ["project", "user"])
def test_a_train_row_is_placed_near_its_factor(drawn: Any, side: Any) -> None:
    """Not at it: its negatives were drawn, and here they are what they are on average."""
    rng = np.random.default_rng(0)
    group = np.equal.outer(rng.integers(3, size=300), rng.integers(3, size=200))
    matrix = sparse.csr_matrix((group & (rng.random(group.shape) < 0.3)).astype(np.float32))
    method = SampledMf(drawn=drawn, negatives=1.0, regularization=0.01)
    found = factorize(matrix, method, n_factors=4)
    fixed_is_user = side == "project"
    factors = found.user_factors if fixed_is_user else found.item_factors
    own = found.item_factors if fixed_is_user else found.user_factors
    of_fixed = matrix if fixed_is_user else matrix.T.tocsr()
    rows = of_fixed.T.tocsr()
    fixed = Fixed(
        "user" if fixed_is_user else "project",
        factors,
        np.diff(of_fixed.indptr).astype(np.int64),
        len(own),
    )
    placed = method.place(fixed, rows)
    cosines = (placed * own).sum(axis=1) / (
        np.linalg.norm(placed, axis=1) * np.linalg.norm(own, axis=1)
    )
    assert np.median(cosines) > 0.97
    assert np.median(np.linalg.norm(placed, axis=1) / np.linalg.norm(own, axis=1)) == pytest.approx(
        1, abs=0.08
    )
    nobody = sparse.csr_matrix((1, rows.shape[1]), dtype=np.float32)
    assert not method.place(fixed, nobody).any()


def test_cells_that_are_expected_count_as_zeros_where_nothing_is_stored() -> None:
    """Every other fixed row six times as a zero, stored or said."""
    rng = np.random.default_rng(1)
    fixed = rng.normal(size=(6, 3)).astype(np.float32)
    ones = sparse.csr_matrix(np.eye(6, dtype=np.float32)[:2])
    said = least_squares(
        Weighed(ones, expected=Expected(np.full(6, 1 / 6), np.full(2, 30.0))), fixed, 0.3
    )
    grams = np.einsum("ij,ik->ijk", fixed, fixed, dtype=np.float64)
    for row in range(2):
        left = grams[row] + 6 * (grams.sum(axis=0) - grams[row]) + 0.3 * np.eye(3)
        expected = np.linalg.solve(left, fixed[row])
        np.testing.assert_allclose(said.factors[row], expected, atol=1e-5)
