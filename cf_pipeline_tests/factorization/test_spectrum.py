"""The latent space is measured as NumPy measures the matrix that it stands for."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cf_pipeline.factorization.spectrum import LatentSpace, latent_space


def test_it_is_that_of_users_times_projects_without_those_folded_in() -> None:
    rng = np.random.default_rng(0)
    users, projects = rng.normal(size=(9, 3)), rng.normal(size=(5, 3))
    table = pl.DataFrame({
        "side": ["user"] * 9 + ["project"] * 5,
        "id": [f"u{n}" for n in range(9)] + [f"p{n}" for n in range(5)],
        "factors": pl.Series(
            np.vstack([users, projects]).astype(np.float32), dtype=pl.Array(pl.Float32, 3)
        ),
        "folded_in": [False] * 13 + [True],
    })
    pairs = pl.DataFrame({
        "user_id": ["u0", "u1", "u2", "u0", "u4"], "project_id": ["p0", "p0", "p1", "p2", "p4"]
    })  # fmt: skip
    space = latent_space(table, pairs.vstack(pairs.tail(1).with_columns(project_id=pl.lit("p3"))))
    expected = np.linalg.svd(users @ projects[:4].T, compute_uv=False)[:3]
    np.testing.assert_allclose(space.singular_values, expected, rtol=1e-5)
    np.testing.assert_allclose(space.lengths, np.linalg.norm(projects[:4], axis=1), rtol=1e-5)
    assert space.degrees.tolist() == [2, 1, 1, 1]


@pytest.mark.parametrize(("values", "rank"), [([1, 1, 1, 1], 4), ([5, 0, 0, 0], 1)])
def test_the_effective_rank_counts_dimensions_that_carry(values: list[int], rank: int) -> None:
    space = LatentSpace(np.array(values, dtype=float), np.ones(1), np.ones(1, dtype=np.int64))
    assert space.effective_rank == pytest.approx(rank)
