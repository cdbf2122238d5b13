"""Implicit ALS (Hu, Koren, Volinsky 2008) through the package `implicit`.

`implicit` multiplies observed values by its alpha and gives every other cell confidence 1. The
matrix already holds c_ui = 1 + alpha * r_ui, so alpha is 1 here. Threads belong to ALS alone:
BLAS is held to one, or the two fight over the cores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.factorizer import Factorizer, Factors, Fitting, Fixed
from cf_pipeline.factorization.starting import own_copies
from cf_pipeline.vectors import Matrix

if TYPE_CHECKING:
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy import sparse


class Als(Factorizer):
    """Minimizes equation 3 over all cells, by turns for users and for projects."""

    name: Literal["als"] = "als"
    regularization: float = Field(
        0.1, gt=0, description="lambda of the L2 term, not scaled by a row's number of events."
    )
    n_iterations: int = Field(20, ge=1, description="ALS iterations, both half-steps each.")

    def fit(self, user_items: sparse.csr_matrix, fitting: Fitting) -> Factors:
        """See Factorizer; the first half-step solves for all users from the projects.

        So of a start it is the item factors that steer.
        """
        seen: list[float] = []
        model = self._solver(fitting)
        if fitting.start is not None:
            # fit draws factors only where it finds none; it writes into those it finds.
            model.user_factors, model.item_factors = own_copies(
                fitting.start, user_items.shape, fitting
            )
        # implicit divides its loss by the confidence of all cells, 1 where nothing was observed.
        n_empty = user_items.shape[0] * user_items.shape[1] - user_items.nnz
        weight = float(user_items.sum(dtype=np.float64)) + n_empty

        def watch(iteration: int, _seconds: float, loss: float) -> None:
            value = loss * weight
            if not np.isfinite(value):
                raise DataError(
                    f"the ALS objective is {value} after iteration {iteration + 1}. Raise "
                    f"factorization.method.regularization ({self.regularization}) or lower "
                    "pruning.alpha."
                )
            seen.append(value)
            fitting.on_iteration(iteration + 1, self.n_iterations, value)

        with threadpool_limits(limits=1, user_api="blas"):
            try:
                model.fit(user_items, show_progress=False, callback=watch)
            except ValueError as error:  # LAPACK's, of equations without a digit left
                raise DataError(
                    f"the equations of ALS cannot be solved ({error}): the largest confidence is "
                    f"{user_items.data.max():g}. Lower pruning.max_confidence or pruning.alpha, or "
                    f"raise factorization.method.regularization ({self.regularization})."
                ) from error
        return Factors(
            np.asarray(model.user_factors, dtype=np.float32),
            np.asarray(model.item_factors, dtype=np.float32),
            tuple(seen),
        )

    def place(self, fixed: Fixed, rows: sparse.csr_matrix) -> Matrix:
        """One half-step, exactly as in training."""
        return fold_in(fixed.factors, rows, self.regularization)

    def initial(self, shape: tuple[int, int], fitting: Fitting) -> tuple[Matrix, Matrix]:
        """The numbers that `implicit` draws for this seed: uniform over [0, 0.01), users first."""
        rng = np.random.default_rng(fitting.seed)
        users, items = (
            rng.random((n, fitting.n_factors), dtype=np.float32) * np.float32(0.01) for n in shape
        )
        return users, items

    def _solver(self, fitting: Fitting) -> AlternatingLeastSquares:
        """The solver; it looks at BLAS's threads when it is made, not only when it works."""
        from implicit.cpu.als import AlternatingLeastSquares

        with threadpool_limits(limits=1, user_api="blas"):
            return AlternatingLeastSquares(
                factors=fitting.n_factors,
                regularization=self.regularization,
                alpha=1.0,
                iterations=self.n_iterations,
                random_state=fitting.seed,
                num_threads=fitting.threads,
                use_cg=False,
                calculate_training_loss=True,
            )


def fold_in(user_factors: Matrix, item_users: sparse.csr_matrix, regularization: float) -> Matrix:
    """Factors of projects that were not trained on, the user factors fixed.

    Hu, Koren, Volinsky 2008, equation 5: y_i = (X'C_i X + lambda I)^-1 X'C_i p_i, with
    X'C_i X = X'X + X'(C_i - I)X, where C_i - I is zero for users without an event.

    Args:
        user_factors: float32, shape (n_users, n_factors).
        item_users: CSR, shape (n_new, n_users), confidences of the new projects' users.
        regularization: lambda, not scaled by counts.

    Returns:
        float32, shape (n_new, n_factors); a project without users is the zero vector.

    Raises:
        DataError: the number of columns is not the number of users.
    """
    from scipy import linalg  # slow to import, and every command imports the chosen factorizer

    if item_users.shape[1] != user_factors.shape[0]:
        raise DataError(
            f"item_users must have one column per user factor ({user_factors.shape[0]}), got shape "
            f"{item_users.shape}. Build it with the users that were factorized, projects as rows."
        )
    x = user_factors.astype(np.float64)
    gram = x.T @ x + regularization * np.eye(x.shape[1])
    factors = np.zeros((item_users.shape[0], x.shape[1]), dtype=np.float32)
    for row in range(item_users.shape[0]):
        start, stop = item_users.indptr[row], item_users.indptr[row + 1]
        users, c = item_users.indices[start:stop], item_users.data[start:stop].astype(np.float64)
        if len(users) == 0:
            continue
        xu = x[users]
        left = gram + (xu.T * (c - 1)) @ xu
        factors[row] = linalg.solve(left, xu.T @ c, assume_a="pos")
    return factors
