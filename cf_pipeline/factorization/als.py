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
    start: tuple[Matrix, Matrix] | None = None,
) -> Factors:
    """Factors that minimize the objective of Hu, Koren and Volinsky (2008), equation 3.

    Args:
        user_items: CSR, shape (n_users, n_projects), float32 confidences c_ui > 0.
        config: number of factors, lambda (not scaled by counts), iterations, seed.
        threads: cores for the solver, 0 for all of them; the result does not depend on it.
        on_iteration: hears the objective after every iteration.
        start: user and item factors to start from, (n_users, n_factors) and (n_projects,
            n_factors); None: random ones by seed. The first half-step solves for all users from
            the projects, so it is the item factors that steer.

    Raises:
        DataError: the solver diverged, or start has other shapes.
    """
    seen: list[float] = []
    model = _solver(config, threads)
    if start is not None:
        _check_shapes(start, user_items.shape, config.n_factors)
        # fit draws factors only where it finds none; it writes into those it finds.
        model.user_factors, model.item_factors = (
            np.array(factors, dtype=np.float32, order="C") for factors in start
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


def _solver(config: FactorizationConfig, threads: int) -> AlternatingLeastSquares:
    """The solver; it looks at BLAS's threads when it is made, not only when it works."""
    with threadpool_limits(limits=1, user_api="blas"):
        return AlternatingLeastSquares(
            factors=config.n_factors,
            regularization=config.regularization,
            alpha=1.0,
            iterations=config.n_iterations,
            random_state=config.seed,
            num_threads=threads,
            use_cg=False,
        )


def initial_factors(shape: tuple[int, int], config: FactorizationConfig) -> tuple[Matrix, Matrix]:
    """The random user and item factors that a start from nothing begins with.

    The same numbers as `implicit` draws for this seed: uniform over [0, 0.01), users first.

    Args:
        shape: (n_users, n_projects).
        config: number of factors and seed.
    """
    rng = np.random.default_rng(config.seed)
    users, items = (
        rng.random((n, config.n_factors), dtype=np.float32) * np.float32(0.01) for n in shape
    )
    return users, items


def _check_shapes(start: tuple[Matrix, Matrix], shape: tuple[int, int], n_factors: int) -> None:
    expected = [(n, n_factors) for n in shape]
    got = [factors.shape for factors in start]
    if got != expected:
        raise DataError(
            f"factors to start from must have the shapes {expected} of users and projects, got "
            f"{got}. Leave start out to begin with random factors."
        )
