"""Implicit ALS through the package `implicit`, with its objective watched from outside.

`implicit` multiplies observed values by its alpha and gives every other cell confidence 1. The
matrix already holds c_ui = 1 + alpha * r_ui, so alpha is 1 here. Threads belong to ALS alone:
BLAS is held to one, or the two fight over the cores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.config import FactorizationConfig
from cf_pipeline.factorization.objective import als_objective
from cf_pipeline.vectors import Matrix

OnIteration = Callable[[int, int, float], None]
"""Called as on_iteration(done, total, objective)."""


@dataclass(frozen=True)
class Factors:
    """What the factorization found.

    Attributes:
        user_factors: float32, shape (n_users, n_factors).
        item_factors: float32, shape (n_projects, n_factors).
        objective: value after every iteration.
    """

    user_factors: Matrix
    item_factors: Matrix
    objective: tuple[float, ...]


def factorize(
    user_items: sparse.csr_matrix,
    config: FactorizationConfig,
    *,
    threads: int = 0,
    on_iteration: OnIteration | None = None,
) -> Factors:
    """Factors that minimize the objective of Hu, Koren and Volinsky (2008), equation 3.

    Args:
        user_items: CSR, shape (n_users, n_projects), float32 confidences c_ui > 0.
        config: number of factors, lambda (not scaled by counts), iterations, seed.
        threads: cores for the solver, 0 for all of them; the result does not depend on it.
        on_iteration: hears the objective after every iteration.

    Raises:
        DataError: the solver diverged.
    """
    seen: list[float] = []
    model = AlternatingLeastSquares(
        factors=config.n_factors,
        regularization=config.regularization,
        alpha=1.0,
        iterations=config.n_iterations,
        random_state=config.seed,
        num_threads=threads,
        use_cg=False,
    )

    def watch(iteration: int, _seconds: float, _loss: float | None) -> None:
        value = als_objective(
            user_items, model.user_factors, model.item_factors, config.regularization
        )
        if not np.isfinite(value):
            raise DataError(
                f"the ALS objective is {value} after iteration {iteration + 1}. Raise "
                f"factorization.regularization ({config.regularization}) or lower pruning.alpha."
            )
        seen.append(value)
        if on_iteration is not None:
            on_iteration(iteration + 1, config.n_iterations, value)

    with threadpool_limits(limits=1, user_api="blas"):
        model.fit(user_items, show_progress=False, callback=watch)
    return Factors(
        np.asarray(model.user_factors, dtype=np.float32),
        np.asarray(model.item_factors, dtype=np.float32),
        tuple(seen),
    )
