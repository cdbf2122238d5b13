"""How far vectors differ from each other: whether a representation has collapsed.

Arrays in, a number out. Two measures, since a representation collapses in two ways: onto one
direction (the mean cosine nears 1) and onto a line (the effective dimensions near 1).
"""

from __future__ import annotations

import numpy as np

from cf_pipeline.errors import DataError
from cf_pipeline.vectors import Matrix, unit_norm

MIN_EFFECTIVE_DIMENSIONS = 1.5
"""Below this, about four fifths of the variance lie on one line."""
MIN_SHARE_OF_POSSIBLE = 0.4
"""The same for a few rows or columns, which cannot span more dimensions than they are."""
NO_VARIANCE = 1e-12
"""Variance below this share of the mean squared length is rounding."""


def sampled_rows(vectors: Matrix, n_rows: int, seed: int) -> Matrix:
    """At most n_rows different rows, drawn evenly, in their order, shape (<= n_rows, d)."""
    if len(vectors) <= n_rows:
        return vectors
    drawn = np.random.default_rng(seed).choice(len(vectors), size=n_rows, replace=False)
    return vectors[np.sort(drawn)]


def mean_cosine(vectors: Matrix) -> float:
    """Mean cosine over all pairs of different rows, between -1 and 1.

    The anisotropy of Ethayarajh (2019), "How contextual are contextualized word representations?",
    section 4.1, over all pairs instead of drawn ones: the sum over pairs is what the squared
    length of the summed unit vectors has beyond the n rows with themselves.

    Args:
        vectors: shape (n, d), finite, no zero row.

    Raises:
        DataError: fewer than two rows.
    """
    n = len(vectors)
    if n < 2:
        raise DataError(f"a mean over pairs needs at least 2 vectors, got {n}.")
    total = unit_norm(vectors).sum(axis=0, dtype=np.float64)
    return float(np.clip((total @ total - n) / (n * (n - 1)), -1.0, 1.0))


def effective_dimensions(vectors: Matrix) -> float:
    """Participation ratio of the covariance: (sum of eigenvalues)^2 / sum of their squares.

    It is k where the variance is spread evenly over k directions, 1 where it lies on a line, and
    here 0 where there is none. Gao et al. (2017), "A theory of multineuronal dimensionality,
    dynamics and measurement", equation of the participation ratio.

    Args:
        vectors: shape (n, d), finite.
    """
    if len(vectors) == 0:
        return 0.0
    rows = vectors.astype(np.float64)
    centered = rows - rows.mean(axis=0)
    # Both products have the same eigenvalues other than zero; neither has to be decomposed.
    smaller = centered if len(centered) > centered.shape[1] else centered.T
    product = smaller.T @ smaller
    trace = float(np.trace(product))
    if trace <= NO_VARIANCE * float((rows**2).sum()):
        return 0.0
    return trace**2 / float((product**2).sum())


def fewest_dimensions(n_rows: int, n_columns: int) -> float:
    """Effective dimensions below which so many vectors of such a length count as collapsed."""
    possible = min(n_rows - 1, n_columns)
    return min(MIN_EFFECTIVE_DIMENSIONS, MIN_SHARE_OF_POSSIBLE * possible)
