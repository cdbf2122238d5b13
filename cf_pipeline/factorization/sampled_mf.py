"""The slide's factorization (Jin 2015): squared error over cells that are known, L2 on both sides.

    sum over cells with V_ui != -1 of (V_ui - y_u x_i)^2 + lambda (|y_u|^2 + |x_i|^2)

The penalty stands within the sum: a row pays lambda for every cell it has. Observed cells hold 1,
sampled negatives 0, all others -1: they are skipped. The slide says neither how many negatives
there are nor how they are drawn; both are settings. The cells are drawn once, and the two sides are
solved by turns, exactly, so that the objective never rises.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from cf_pipeline.factorization.factorizer import Factorizer, Factors, Fitting, Fixed, OneOf, Range
from cf_pipeline.factorization.half_steps import Expected, Weighed, least_squares
from cf_pipeline.factorization.negatives import Drawn, with_negatives
from cf_pipeline.factorization.starting import own_copies
from cf_pipeline.interactions.matrix import seen
from cf_pipeline.vectors import Matrix


class SampledMf(Factorizer):
    """Alternating least squares over observed cells and drawn ones."""

    name: Literal["sampled_mf"] = "sampled_mf"
    regularization: float = Field(
        0.03, gt=0, description="lambda of the L2 term, which a row has once for every cell."
    )
    n_iterations: int = Field(20, ge=1, description="From nothing; both half-steps each.")
    warm_iterations: int = Field(5, ge=1, description="From earlier factors.")
    negatives: float = Field(
        3.0,
        ge=0,
        description="Negatives for each observed cell. 0 is the slide to the letter: nothing tells "
        "users apart then, and all factors point the same way.",
    )
    drawn: Drawn = Field(
        "uniform", description="How often a project is drawn: by its users, or all alike."
    )

    def fit(self, user_items: sparse.csr_matrix, fitting: Fitting) -> Factors:
        """See Factorizer; of the confidences it counts alone that they are there."""
        cells = with_negatives(user_items, self.negatives, self.drawn, fitting.seed)
        by_user, by_project = Weighed(cells), Weighed(cells.T.tocsr())
        of_users, of_projects = (
            self.regularization * np.diff(side.targets.indptr) for side in (by_user, by_project)
        )
        start = fitting.start or self.initial(cells.shape, fitting)
        users, projects = own_copies(start, cells.shape, fitting)
        threads, objective = fitting.threads or os.cpu_count() or 1, []
        n = self.n_iterations if fitting.start is None else self.warm_iterations
        for iteration in range(n):
            users = least_squares(by_user, projects, of_users, threads=threads).factors
            solved = least_squares(by_project, users, of_projects, threads=threads)
            projects = solved.factors
            penalty = sum(
                float(own @ np.square(factors, dtype=np.float64).sum(axis=1))
                for own, factors in ((of_users, users), (of_projects, projects))
            )
            objective.append(solved.squared_error + penalty)
            fitting.on_iteration(iteration + 1, n, objective[-1])
        return Factors(users, projects, tuple(objective))

    def place(self, fixed: Fixed, rows: sparse.csr_matrix) -> Matrix:
        """One half-step with the negatives that a row would have on average, drawing none.

        A user brings `negatives` for each event, at projects as `drawn` says. A project meets those
        of all users: by popularity as many for each of its events as a user has, all alike as many
        as any other project.
        """
        n_events = np.diff(rows.indptr).astype(np.float64)
        by_degree = self.drawn == "popularity" or fixed.side == "user"
        weights = (fixed.degrees if by_degree else np.ones(len(fixed.factors))).astype(np.float64)
        share = weights / weights.sum()
        n_cells = self.negatives * n_events
        if fixed.side == "user" and self.drawn == "uniform":
            n_cells = np.full(len(n_events), self.negatives * fixed.degrees.sum() / fixed.n_others)
        expected = Expected(share, n_cells)
        cells = Weighed(seen(rows), expected=expected)
        own = self.regularization * (n_events + n_cells)
        return least_squares(cells, fixed.factors, own).factors

    def search_space(self) -> Mapping[str, Range | OneOf]:
        """lambda, how many negatives, and how they are drawn."""
        return {
            "regularization": Range(0.003, 0.3),
            "negatives": Range(0.5, 8.0),
            "drawn": OneOf(("popularity", "uniform")),
        }

    def initial(self, shape: tuple[int, int], fitting: Fitting) -> tuple[Matrix, Matrix]:
        """Normal numbers of such a size that an inner product of two rows has variance 1/k."""
        rng = np.random.default_rng(fitting.seed)
        size = np.float32(fitting.n_factors**-0.5)
        users, projects = (
            rng.standard_normal((n, fitting.n_factors), dtype=np.float32) * size for n in shape
        )
        return users, projects
