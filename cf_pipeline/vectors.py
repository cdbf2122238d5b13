"""Vectors with their ids: the currency between rooms.

A feature set, a set of factors and a set of embeddings are the same thing: one id (text, the
outside key) per row of a float32 matrix. Similarity is the cosine throughout, so unit norm lives
here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from cf_pipeline.errors import DataError

Matrix = npt.NDArray[np.float32]
"""float32, shape (n, d)."""
Vector = npt.NDArray[np.float32]
"""float32, shape (n,)."""
Indices = npt.NDArray[np.int64]
"""int64 row numbers, shape (n,)."""

Progress = Callable[[int, int, dict[str, float]], None]
"""Called as progress(done, total, figures); figures may be empty."""


def silent(done: int, total: int, figures: dict[str, float]) -> None:
    """The progress callback of those who do not want to know."""


@dataclass(frozen=True)
class IndexedVectors:
    """Row vectors and the id each belongs to.

    Attributes:
        ids: n outside keys, unique.
        vectors: float32, shape (n, d), finite.

    Raises:
        DataError: lengths differ, an id occurs twice, or a value is not finite.
    """

    ids: tuple[str, ...]
    vectors: Matrix

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.ids) != self.vectors.shape[0]:
            raise DataError(
                f"expected one row per id: {len(self.ids)} ids, vectors of shape "
                f"{self.vectors.shape}. Pass a matrix of shape (n_ids, d)."
            )
        if len(set(self.ids)) != len(self.ids):
            raise DataError(
                f"ids must be unique: {len(self.ids)} given, {len(set(self.ids))} different. "
                "Aggregate or drop the repeated rows first."
            )
        if not np.isfinite(self.vectors).all():
            bad = int((~np.isfinite(self.vectors).all(axis=1)).sum())
            raise DataError(f"{bad} of {len(self.ids)} vectors hold NaN or infinity.")

    @property
    def n_dimensions(self) -> int:
        """Length d of one vector."""
        return int(self.vectors.shape[1])

    def __contains__(self, id_: str) -> bool:
        """Whether an id has a vector here."""
        return id_ in self._rows

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {id_: row for row, id_ in enumerate(self.ids)}

    def rows(self, ids: Sequence[str]) -> Matrix:
        """The vectors of the given ids, in their order, shape (len(ids), d).

        Raises:
            DataError: an id is not here.
        """
        missing = [id_ for id_ in ids if id_ not in self]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(ids)} ids have no vector, the first is {missing[0]!r}. "
                "Materialize the asset that makes these vectors again."
            )
        return self.vectors[[self._rows[id_] for id_ in ids]]


def indexed(table: pl.DataFrame, id_column: str, vector_column: str) -> IndexedVectors:
    """Vectors of a table, list or array column, in the order of their ids.

    Raises:
        DataError: an id occurs twice, a vector is missing, or vectors differ in length.
    """
    ordered = table.select(id_column, vector_column).sort(id_column)
    lengths = set(ordered[vector_column].cast(pl.List(pl.Float32)).list.len().to_list())
    if len(lengths) > 1 or None in lengths:
        raise DataError(
            f"{vector_column} holds vectors of lengths {sorted(lengths, key=str)}, expected one. "
            "Materialize the asset that makes these vectors again."
        )
    flat = ordered[vector_column].explode(empty_as_null=False, keep_nulls=True).to_numpy()
    vectors = flat.astype(np.float32).reshape(ordered.height, max(lengths, default=0))
    return IndexedVectors(tuple(ordered[id_column].to_list()), vectors)


def unit_norm(vectors: Matrix) -> Matrix:
    """Rows scaled to Euclidean length 1; a zero row stays zero. Shape (n, d) to (n, d)."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms == 0, 1, norms), dtype=np.float32)
