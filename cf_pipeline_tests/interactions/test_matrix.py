"""From ids to indices and back."""

from __future__ import annotations

import polars as pl
import pytest
from scipy import sparse

from cf_pipeline.errors import DataError
from cf_pipeline.interactions.matrix import InteractionMatrix, build_matrix

PAIRS = pl.DataFrame({
    "user_id": ["u2", "u1", "u2"],
    "project_id": ["07", "7", "7"],
    "confidence": [2.0, 3.0, 4.0],
})


def test_every_pair_stands_at_its_ids() -> None:
    matrix = build_matrix(PAIRS)
    assert matrix.user_ids == ("u1", "u2")
    assert matrix.project_ids == ("07", "7")
    assert matrix.user_items.toarray().tolist() == [[0, 3], [2, 4]]


def test_row_order_does_not_matter() -> None:
    again = build_matrix(PAIRS.reverse())
    assert (again.user_items != build_matrix(PAIRS).user_items).nnz == 0


def test_known_users_fix_the_rows() -> None:
    matrix = build_matrix(PAIRS, user_ids=("u0", "u2"))
    assert matrix.user_items.toarray().tolist() == [[0, 0], [2, 4]]


def test_a_repeated_pair_is_refused() -> None:
    with pytest.raises(DataError, match="1 are repeated"):
        build_matrix(pl.concat([PAIRS, PAIRS.head(1)]))


def test_a_transposed_matrix_is_refused() -> None:
    with pytest.raises(DataError, match="Transpose it"):
        InteractionMatrix(("u",), ("p", "q"), sparse.csr_matrix((2, 1)))
