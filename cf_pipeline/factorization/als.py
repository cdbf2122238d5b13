"""Implicit ALS (Hu, Koren, Volinsky 2008) through the package `implicit`.

    sum over observed cells of c_ui (1 - x_u y_i)^2 + w * sum over the others of (x_u y_i)^2
        + sum over users of lambda_u |x_u|^2 + sum over projects of lambda_i |y_i|^2

`implicit` multiplies observed values by its alpha and gives every other cell weight 1. The matrix
already holds c_ui = 1 + alpha * r_ui, so its alpha is 1 here; another weight w of the other cells
is had by dividing all else by it. Threads belong to ALS alone: BLAS is held to one, or the two
fight over the cores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from pydantic import Field
from scipy import sparse
from threadpoolctl import threadpool_limits

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.factorizer import Factorizer, Factors, Fitting, Fixed, OneOf, Range
from cf_pipeline.factorization.half_steps import Weighed, least_squares
from cf_pipeline.factorization.penalties import (
    Bucket,
    buckets,
    order_of,
    penalties,
    row_weights,
)
from cf_pipeline.factorization.starting import own_copies
from cf_pipeline.interactions.matrix import seen
from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import Indices, Matrix


class Als(Factorizer):
    """Minimizes squared error over all cells, by turns for users and for projects."""

    name: Literal["als"] = "als"
    regularization: float = Field(
        0.02, gt=0, description="lambda, or what it is scaled from by regularization_exponent."
    )
    regularization_exponent: float = Field(
        1.0,
        ge=0,
        le=1,
        description="lambda of a row is regularization * (weight of all its cells) ** this. 1: as "
        "Rendle et al. 2021; 0: one for all rows, with a regularization some hundred times larger.",
    )
    unobserved_weight: float = Field(
        0.1, gt=0, description="w, the weight of a cell without an event; one event has 1 + alpha."
    )
    n_iterations: int = Field(20, ge=1, description="From nothing; both half-steps each.")
    warm_iterations: int = Field(5, ge=1, description="From earlier factors; both half-steps each.")
    solver: Literal["cg", "cholesky"] = Field(
        "cg", description="Three steps of conjugate gradient from the row's factors, or exact."
    )

    def fit(self, user_items: sparse.csr_matrix, fitting: Fitting) -> Factors:
        """See Factorizer; the first half-step solves for all users from the projects.

        So of a start it is the item factors that steer.
        """
        lambdas = [self._penalties(side) for side in (user_items, user_items.T)]
        orders = [order_of(penalty) for penalty in lambdas]
        start = fitting.start or self.initial(user_items.shape, fitting)
        copies = own_copies(start, user_items.shape, fitting)
        # From here on rows and columns stand in the order of lambda, and all is divided by w.
        cells = _permuted(user_items, *orders)
        if self.unobserved_weight != 1:
            cells = cells / np.float32(self.unobserved_weight)
        users, projects = (f[order] for f, order in zip(copies, orders, strict=True))
        by_user, by_project = (
            list(buckets(side, penalty[order] / self.unobserved_weight))
            for side, penalty, order in zip((cells, cells.T.tocsr()), lambdas, orders, strict=True)
        )
        objective = self._alternate(cells, by_user, by_project, users, projects, fitting)
        found = [f[np.argsort(order)] for f, order in zip((users, projects), orders, strict=True)]
        return Factors(found[0], found[1], objective)

    def place(self, fixed: Fixed, rows: sparse.csr_matrix) -> Matrix:
        """One half-step, solved exactly, with the weights and lambdas of training."""
        cells = Weighed(seen(rows), rows.data.astype(np.float32), self.unobserved_weight)
        return least_squares(cells, fixed.factors, self._penalties(rows)).factors

    def initial(self, shape: tuple[int, int], fitting: Fitting) -> tuple[Matrix, Matrix]:
        """The numbers that `implicit` draws for this seed: uniform over [0, 0.01), users first."""
        rng = np.random.default_rng(fitting.seed)
        users, items = (
            rng.random((n, fitting.n_factors), dtype=np.float32) * np.float32(0.01) for n in shape
        )
        return users, items

    def search_space(self) -> Mapping[str, Range | OneOf]:
        """lambda, and the weight of what was not observed; the exponent stays as configured."""
        scaled = Range(0.001, 0.1)
        return {
            "regularization": scaled if self.regularization_exponent else Range(0.01, 100.0),
            "unobserved_weight": Range(0.01, 1.0),
        }

    def _penalties(self, cells: sparse.csr_matrix | sparse.csc_matrix) -> Floats:
        weights = row_weights(cells, self.unobserved_weight)
        return penalties(weights, self.regularization, self.regularization_exponent)

    def _alternate(
        self,
        cells: sparse.csr_matrix,
        by_user: list[Bucket],
        by_project: list[Bucket],
        users: Matrix,
        projects: Matrix,
        fitting: Fitting,
    ) -> tuple[float, ...]:
        """Solves for users and projects in place, by turns; the objective after each iteration."""
        n = self.n_iterations if fitting.start is None else self.warm_iterations
        # implicit divides its loss by the weight of all cells.
        weight = float(cells.sum(dtype=np.float64)) + cells.shape[0] * cells.shape[1] - cells.nnz
        objective: list[float] = []
        with threadpool_limits(limits=1, user_api="blas"):
            from implicit.cpu.als import AlternatingLeastSquares, calculate_loss

            # Its fit has one lambda for all rows; its half-step is asked for one bucket of rows.
            solve = AlternatingLeastSquares(use_cg=self.solver == "cg").solver
            for iteration in range(n):
                self._half_step(solve, by_user, users, projects, fitting.threads)
                self._half_step(solve, by_project, projects, users, fitting.threads)
                loss = calculate_loss(cells, users, projects, 0.0, num_threads=fitting.threads)
                lengths = _penalized(by_user, users) + _penalized(by_project, projects)
                objective.append(self.unobserved_weight * (loss * weight + lengths))
                if not np.isfinite(objective[-1]):
                    raise DataError(
                        f"the ALS objective is {objective[-1]} after {iteration + 1} iterations. "
                        f"Raise factorization.method.regularization ({self.regularization}) or "
                        "lower pruning.alpha."
                    )
                fitting.on_iteration(iteration + 1, n, objective[-1])
        return tuple(objective)

    def _half_step(
        self,
        solve: Callable[..., None],
        sorted_rows: list[Bucket],
        rows: Matrix,
        fixed: Matrix,
        threads: int,
    ) -> None:
        for bucket in sorted_rows:
            try:
                solve(bucket.cells, rows[bucket.rows], fixed, bucket.penalty, num_threads=threads)
            except ValueError as error:  # LAPACK's, of equations without a digit left
                largest = float(bucket.cells.data.max()) * self.unobserved_weight
                raise DataError(
                    f"the equations of ALS cannot be solved ({error}): the largest confidence is "
                    f"{largest:g}. Lower pruning.max_confidence or pruning.alpha, or raise "
                    f"factorization.method.regularization ({self.regularization})."
                ) from error


def _permuted(cells: sparse.csr_matrix, rows: Indices, columns: Indices) -> sparse.csr_matrix:
    """Rows and columns in these orders; the matrix itself where they are as they were."""
    if np.array_equal(rows, np.arange(len(rows))) and np.array_equal(
        columns, np.arange(len(columns))
    ):
        return cells
    return cells[rows][:, columns].tocsr()


def _penalized(sorted_rows: list[Bucket], factors: Matrix) -> float:
    return sum(
        bucket.penalty * float(np.square(factors[bucket.rows], dtype=np.float64).sum())
        for bucket in sorted_rows
    )
