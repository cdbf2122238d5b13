"""What a factorization that can start from earlier factors begins with."""

from __future__ import annotations

import numpy as np

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.factorizer import Fitting
from cf_pipeline.vectors import Matrix


def own_copies(
    start: tuple[Matrix, Matrix], shape: tuple[int, int], fitting: Fitting
) -> tuple[Matrix, Matrix]:
    """User and item factors that a solver may write into.

    Args:
        start: earlier ones, nobody's to change.
        shape: (n_users, n_projects) of the matrix.
        fitting: number of factors.

    Raises:
        DataError: they have other shapes.
    """
    expected = [(n, fitting.n_factors) for n in shape]
    got = [factors.shape for factors in start]
    if got != expected:
        raise DataError(
            f"factors to start from must have the shapes {expected} of users and projects, got "
            f"{got}. Leave start out to begin with random factors."
        )
    users, projects = (np.array(factors, dtype=np.float32, order="C") for factors in start)
    return users, projects
