"""Least squares for all rows of one side, the other side fixed: many small systems, in blocks.

Rows are taken in the order of how many cells they have, so that a block of them fits into one
dense array with little padding. Each row's system is its own, and blocks do not depend on how many
threads work at them: the result is the same for any number.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from cf_pipeline.errors import DataError
from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import Indices, Matrix

_NUMBERS_AT_ONCE = 4_000_000
"""Of gathered factors in a block, float32: 16 MB, in the cache's neighbourhood."""


@dataclass(frozen=True)
class Solved:
    """What a half-step found.

    Attributes:
        factors: float32, shape (n_rows, k); a row without a cell and without a prior is zero.
        squared_error: over all stored cells, the prior left out.
    """

    factors: Matrix
    squared_error: float


@dataclass(frozen=True)
class Expected:
    """Zeros that a row would have if some were drawn, as many of each as on average.

    A row r has n_r of them, at fixed rows drawn by q where nothing is stored. With s_r the sum of q
    over its stored cells, they add n_r / (1 - s_r) * sum over the others of q_j v_j v_j' to its
    equations.

    Attributes:
        shares: q, shape (n_fixed,), sum 1.
        n_cells: n, shape (n_rows,).
    """

    shares: Floats
    n_cells: Floats

    def gram(self, fixed: Matrix) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """Sum over all of q_j v_j v_j', shape (k, k)."""
        wide = fixed.astype(np.float64)
        return np.asarray((wide.T * self.shares) @ wide)

    def of(self, rows: Indices, columns: Indices) -> tuple[Floats, Floats]:
        """n_r / (1 - s_r), shape (b,), and q of the stored cells, (b, width), 0 in the padding."""
        q = np.append(self.shares, 0.0)[columns]
        left = np.maximum(1 - q.sum(axis=1), np.finfo(np.float64).eps)
        return self.n_cells[rows] / left, q


@dataclass(frozen=True)
class Weighed:
    """What a half-step counts for: the sum over the cells of a row of weight (t - x v)^2.

    Attributes:
        targets: CSR, shape (n_rows, n_fixed), t of the stored cells; stored zeros count.
        weights: of the stored cells, float32, as `targets.data`; None: 1 each.
        elsewhere: weight of the cells that are not stored, whose target is 0.
        expected: cells of value zero that are not stored, weight 1 each; with elsewhere = 0.
    """

    targets: sparse.csr_matrix
    weights: npt.NDArray[np.float32] | None = None
    elsewhere: float = 0.0
    expected: Expected | None = None


def least_squares(
    cells: Weighed, fixed: Matrix, regularization: float | Floats, *, threads: int = 1
) -> Solved:
    """Rows x_r that minimize the weighed squared error of their cells + lambda_r |x_r|^2.

    Args:
        cells: targets and weights.
        fixed: v, float32, shape (n_fixed, k).
        regularization: lambda, one for all rows or shape (n_rows,).
        threads: cores.

    Raises:
        DataError: there is not one column of cells for each fixed row.
    """
    if cells.targets.shape[1] != len(fixed):
        raise DataError(
            f"expected cells with one column per fixed row ({len(fixed)}), got shape "
            f"{cells.targets.shape}. Build them with what was factorized as columns."
        )
    n_rows, k = cells.targets.shape[0], fixed.shape[1]
    padded = np.vstack([fixed, np.zeros((1, k), dtype=np.float32)])
    factors = np.zeros((n_rows, k), dtype=np.float32)
    penalty = np.broadcast_to(np.asarray(regularization, dtype=np.float64), (n_rows,))
    wide = fixed.astype(np.float64)
    everywhere = cells.elsewhere * (wide.T @ wide)
    zeros = None if cells.expected is None else cells.expected.gram(fixed)

    def solve(rows: Indices) -> float:
        columns, targets, weights = _cells_of(cells, rows)
        gathered = padded[columns]
        across = gathered.transpose(0, 2, 1)
        more = (weights - np.float32(cells.elsewhere))[:, np.newaxis]
        gram = np.matmul(across * more, gathered).astype(np.float64) + everywhere
        right = np.matmul(across, (weights * targets)[:, :, np.newaxis]).astype(np.float64)
        left = gram + penalty[rows, np.newaxis, np.newaxis] * np.eye(k)
        if cells.expected is not None and zeros is not None:
            n, q = cells.expected.of(rows, columns)
            n = n[:, np.newaxis, np.newaxis]
            left += n * (zeros - np.matmul(across * q[:, np.newaxis], gathered))
        found = np.linalg.solve(left, right)
        factors[rows] = found[:, :, 0]
        explained = np.matmul(found.transpose(0, 2, 1), 2 * right - np.matmul(gram, found))
        return float((weights * targets.astype(np.float64) ** 2).sum() - explained.sum())

    blocks = list(_blocks(np.diff(cells.targets.indptr).astype(np.int64), k))
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        errors = list(pool.map(solve, blocks))
    return Solved(factors, float(sum(errors)))


def _blocks(sizes: Indices, k: int) -> Iterator[Indices]:
    """Rows with cells, those of like size together, few enough to be gathered at once."""
    order = np.argsort(sizes, kind="stable")
    order = order[sizes[order] > 0]
    start = 0
    while start < len(order):
        # The largest of a block sets its width: as many rows as fit at the width they would have.
        stop, most = start + 1, max(1, _NUMBERS_AT_ONCE // k)
        while stop < len(order) and (stop + 1 - start) * sizes[order[stop]] <= most:
            stop += 1
        yield order[start:stop]
        start = stop


def _cells_of(cells: Weighed, rows: Indices) -> tuple[Indices, Matrix, Matrix]:
    """Columns of each row's cells, one past the last in the padding; targets; weights, (b, width).

    In the padding a weight is that of elsewhere, so that it adds nothing.
    """
    stored = cells.targets
    starts, sizes = stored.indptr[rows], np.diff(stored.indptr)[rows]
    steps = np.arange(int(sizes.max()))
    is_cell = steps < sizes[:, np.newaxis]
    at = np.where(is_cell, starts[:, np.newaxis] + steps, 0)
    columns = np.where(is_cell, stored.indices[at], stored.shape[1]).astype(np.int64)
    targets = np.where(is_cell, stored.data[at], np.float32(0))
    weights = np.float32(1) if cells.weights is None else cells.weights[at]
    return columns, targets, np.where(is_cell, weights, np.float32(cells.elsewhere))
