"""Frequency-scaled regularization: lambda of a row grows with what its cells weigh.

Rendle, Krichene, Zhang, Koren 2021 ("Revisiting the performance of iALS on item recommendation
benchmarks"): lambda (n_u + w n_items)^nu for a user of n_u events, where a cell without an event
weighs w. Here confidences take the place of counts. `implicit` has one lambda for all rows it is
called with, so rows are sorted into buckets of like weight, and a row's weight is rounded to its
bucket's: the objective is that of the rounded weights, and is solved as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import Indices

_BUCKETS_PER_DOUBLING = 4


def row_weights(cells: sparse.csr_matrix | sparse.csc_matrix, elsewhere: float) -> Floats:
    """What all cells of each row weigh, float64, shape (n_rows,).

    Args:
        cells: confidences.
        elsewhere: weight of a cell that is not stored.
    """
    stored = np.asarray(cells.sum(axis=1, dtype=np.float64)).ravel()
    return np.asarray(stored + elsewhere * (cells.shape[1] - cells.getnnz(axis=1)))


def penalties(weights: Floats, regularization: float, exponent: float) -> Floats:
    """Lambda of each row, shape (n_rows,): regularization * (its weight, rounded) ** exponent."""
    if exponent == 0:
        return np.full(len(weights), regularization)
    steps = np.rint(np.log2(weights) * _BUCKETS_PER_DOUBLING)
    return np.asarray(regularization * np.exp2(steps / _BUCKETS_PER_DOUBLING * exponent))


@dataclass(frozen=True)
class Bucket:
    """Neighbouring rows with one lambda."""

    rows: slice
    cells: sparse.csr_matrix
    penalty: float


def order_of(penalty: Floats) -> Indices:
    """Rows in the order of their lambda, as they are where all have one."""
    return np.argsort(penalty, kind="stable").astype(np.int64)


def buckets(cells: sparse.csr_matrix, penalty: Floats) -> Iterator[Bucket]:
    """Rows of one lambda after another, as views.

    Args:
        cells: CSR, rows in the order of their lambda.
        penalty: lambda of each row, rising.
    """
    edges = [0, *(np.flatnonzero(np.diff(penalty)) + 1).tolist(), len(penalty)]
    for start, stop in itertools.pairwise(edges):
        first, last = cells.indptr[start], cells.indptr[stop]
        inner = cells.indptr[start : stop + 1] - first
        part = sparse.csr_matrix(
            (cells.data[first:last], cells.indices[first:last], inner),
            shape=(stop - start, cells.shape[1]),
            copy=False,
        )
        yield Bucket(slice(start, stop), part, float(penalty[start]))
