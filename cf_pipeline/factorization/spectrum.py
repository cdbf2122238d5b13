"""What a latent space uses of its dimensions, and whether lengths in it are popularity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import Indices, Matrix


@dataclass(frozen=True)
class LatentSpace:
    """Of the users and projects that were factorized; those folded in are left out.

    Attributes:
        singular_values: of the matrix that the factors stand for, largest first, shape (k,).
        lengths: of the projects' factors, shape (n,).
        degrees: users of the same projects, shape (n,).
    """

    singular_values: Floats
    lengths: Floats
    degrees: Indices

    @property
    def effective_rank(self) -> float:
        """Dimensions that would carry as much if all carried alike (Roy and Vetterli 2007)."""
        share = self.singular_values / self.singular_values.sum()
        share = share[share > 0]
        return float(np.exp(-(share * np.log(share)).sum()))


def latent_space(factors: pl.DataFrame, pairs: pl.DataFrame) -> LatentSpace:
    """Measured from tables.

    Args:
        factors: `side, id, factors ARRAY, folded_in`.
        pairs: `user_id, project_id`.
    """
    fitted = factors.filter(~pl.col("folded_in"))
    users, projects = (fitted.filter(side=side) for side in ("user", "project"))
    degrees = pairs.group_by("project_id").len("degree")
    projects = projects.join(degrees, left_on="id", right_on="project_id", how="left")
    vectors = projects["factors"].to_numpy()
    return LatentSpace(
        _singular_values(users["factors"].to_numpy(), vectors),
        np.linalg.norm(vectors.astype(np.float64), axis=1),
        projects["degree"].to_numpy().astype(np.int64),
    )


def _singular_values(x: Matrix, y: Matrix) -> Floats:
    """Of X Y', from what is k by k: the roots of the eigenvalues of X'X Y'Y."""
    left, right = (f.astype(np.float64).T @ f.astype(np.float64) for f in (x, y))
    values, vectors = np.linalg.eigh(left)
    root = vectors * np.sqrt(np.maximum(values, 0))  # root root' = X'X
    squares = np.linalg.eigvalsh(root.T @ right @ root)
    return np.asarray(np.sqrt(np.maximum(squares, 0))[::-1])
