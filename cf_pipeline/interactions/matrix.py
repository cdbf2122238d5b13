"""The interaction matrix with its ids: where ids become indices, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cf_pipeline.errors import DataError


@dataclass(frozen=True)
class InteractionMatrix:
    """Users x projects, float32 confidences, and the id of every row and column.

    Attributes:
        user_ids: sorted, one per row.
        project_ids: sorted, one per column.
        user_items: CSR, shape (n_users, n_projects), c_ui of observed pairs, 0 elsewhere.
        recency: of the same pairs, 1 for the newest of its user, 2 for the one before, and so on;
            None where a pair has no time.
    """

    user_ids: tuple[str, ...]
    project_ids: tuple[str, ...]
    user_items: sparse.csr_matrix
    recency: sparse.csr_matrix | None = None

    def __post_init__(self) -> None:
        expected = (len(self.user_ids), len(self.project_ids))
        if self.user_items.shape != expected:
            raise DataError(
                f"user_items must have shape (users, projects) = {expected}, got "
                f"{self.user_items.shape}. Transpose it if projects come first."
            )


def build_matrix(pairs: pl.DataFrame, user_ids: tuple[str, ...] | None = None) -> InteractionMatrix:
    """The matrix of `user_id, project_id, confidence` rows, and their order in time.

    Args:
        pairs: one row per observed pair; of `occurred_at`, where there is such a column, equal
            times are put in order by project id.
        user_ids: rows to use, sorted; pairs of other users are left out. None: those that occur.

    Returns:
        The matrix; indices are positions in the sorted ids, so they do not depend on row order.

    Raises:
        DataError: a pair occurs twice.
    """
    users = pl.Series(user_ids, dtype=pl.String) if user_ids is not None else None
    if users is None:
        users = pairs["user_id"].unique().sort()
    else:
        pairs = pairs.filter(pl.col("user_id").is_in(users.implode()))
    projects = pairs["project_id"].unique().sort()
    rows = _index(pairs["user_id"], users)
    columns = _index(pairs["project_id"], projects)
    values = pairs["confidence"].to_numpy().astype(np.float32)
    matrix = sparse.csr_matrix((values, (rows, columns)), shape=(len(users), len(projects)))
    if matrix.nnz != pairs.height:
        raise DataError(
            f"expected one row per (user, project) pair, {pairs.height - matrix.nnz} are repeated. "
            "Sum their confidences first."
        )
    recency = None
    if "occurred_at" in pairs.columns and not pairs["occurred_at"].null_count():
        recency = sparse.csr_matrix((_recency(pairs), (rows, columns)), shape=matrix.shape)
    return InteractionMatrix(tuple(users.to_list()), tuple(projects.to_list()), matrix, recency)


def _recency(pairs: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    places = (
        pairs
        .select("user_id", "project_id", "occurred_at", row=pl.int_range(pl.len()))
        .sort("occurred_at", "project_id", descending=[True, False])
        .with_columns(place=pl.int_range(1, pl.len() + 1).over("user_id"))
        .sort("row")["place"]
    )
    return places.to_numpy().astype(np.float32)


def _index(ids: pl.Series, vocabulary: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    index = pl.DataFrame({"id": vocabulary, "index": np.arange(len(vocabulary), dtype=np.int64)})
    joined = pl.DataFrame({"id": ids}).join(index, on="id", how="left", maintain_order="left")
    return joined["index"].to_numpy()


def seen(cells: sparse.csr_matrix, dtype: type[np.floating[Any]] = np.float32) -> sparse.csr_matrix:
    """1 for every stored cell, whatever it weighs; the cells are shared, not copied."""
    ones = np.ones(cells.nnz, dtype=dtype)
    return sparse.csr_matrix((ones, cells.indices, cells.indptr), shape=cells.shape)


def project_degrees(pairs: pl.DataFrame) -> pl.DataFrame:
    """`project_id, degree`: how many users each project has in `user_id, project_id` rows."""
    return pairs.group_by("project_id").agg(degree=pl.col("user_id").n_unique().cast(pl.Int64))
