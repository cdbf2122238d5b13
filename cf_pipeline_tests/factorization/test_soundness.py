"""Factors that were really fitted are sound; each way in which they break is told."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_pipeline.factorization.als import Als
from cf_pipeline.factorization.factorizer import Fitting
from cf_pipeline.factorization.placing import place_all
from cf_pipeline.factorization.soundness import factors_are_finite_and_spread
from cf_pipeline.vectors import Matrix

N_FACTORS = 8


def table(user: Matrix, project: Matrix) -> pl.DataFrame:
    parts = [
        pl.DataFrame({
            "side": [side] * len(vectors),
            "id": [f"{side}{row}" for row in range(len(vectors))],
            "factors": pl.Series(
                vectors.astype(np.float32), dtype=pl.Array(pl.Float32, vectors.shape[1])
            ),
        })
        for side, vectors in (("user", user), ("project", project))
    ]
    return pl.concat(parts)


def gaussian(n: int = 60, d: int = N_FACTORS, seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.fixture(scope="module")
def fitted() -> pl.DataFrame:
    """Factors of three tastes among forty users and sixty projects."""
    rng = np.random.default_rng(0)
    alike = rng.integers(0, 3, 40)[:, None] == rng.integers(0, 3, 60)[None, :]
    users, projects = np.nonzero(rng.random((40, 60)) < np.where(alike, 0.5, 0.05))
    pairs = pl.DataFrame({
        "user_id": [f"u{u}" for u in users],
        "project_id": [f"p{p}" for p in projects],
        "confidence": np.full(len(users), 2.0, dtype=np.float32),
    })
    split = pl.DataFrame({
        "project_id": [f"p{p}" for p in range(60)],
        "split": ["train"] * 45 + ["test"] * 15,
    })
    return place_all(pairs, split, Als(n_iterations=10), Fitting(N_FACTORS, threads=1)).table


def test_fitted_factors_are_finite_and_spread(fitted: pl.DataFrame) -> None:
    verdict = factors_are_finite_and_spread(fitted)
    assert verdict.passed, verdict.message
    assert verdict.facts["project_rows"] == 60
    # Three tastes are two dimensions beside their mean, and there is noise.
    assert 1.5 < verdict.facts["project_effective_dimensions"] < N_FACTORS


def test_lists_are_read_as_arrays_are(fitted: pl.DataFrame) -> None:
    lists = fitted.with_columns(pl.col("factors").cast(pl.List(pl.Float32)))
    assert factors_are_finite_and_spread(lists) == factors_are_finite_and_spread(fitted)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.integers(8, 80), st.floats(1e-3, 1e3))
def test_factors_of_any_length_and_size_in_all_directions_are_sound(
    d: int, n: int, size: float
) -> None:
    verdict = factors_are_finite_and_spread(table(gaussian(n, d), size * gaussian(n, d, seed=1)))
    assert verdict.passed, verdict.message


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None])
def test_one_number_that_is_none(bad: float | None) -> None:
    sound = table(gaussian(), gaussian(seed=1)).with_columns(
        pl.col("factors").cast(pl.List(pl.Float32))
    )
    row = pl.DataFrame(
        {"side": ["user"], "id": ["broken"], "factors": [[1.0, bad, *[0.0] * (N_FACTORS - 2)]]},
        schema=sound.schema,
    )
    verdict = factors_are_finite_and_spread(pl.concat([sound, row]))
    assert not verdict.passed
    assert verdict.facts["user_not_finite"] == 1
    assert verdict.facts["project_not_finite"] == 0


def test_vectors_of_several_lengths() -> None:
    sound = table(gaussian(), gaussian(seed=1)).cast({"factors": pl.List(pl.Float32)})
    first = pl.int_range(pl.len()) == 0
    verdict = factors_are_finite_and_spread(
        sound.with_columns(pl.when(first).then(pl.col("factors").list.head(3)).otherwise("factors"))
    )
    assert not verdict.passed
    assert "lengths [3, 8]" in verdict.message


def test_a_side_that_is_missing(fitted: pl.DataFrame) -> None:
    verdict = factors_are_finite_and_spread(fitted.filter(pl.col("side") == "user"))
    assert not verdict.passed
    assert "Expected project factors" in verdict.message


@pytest.mark.parametrize(("n_zero", "passed"), [(30, True), (31, False), (60, False)])
@pytest.mark.parametrize("zero", [0.0, 1e-12])
def test_most_have_no_place(n_zero: int, passed: bool, zero: float) -> None:
    projects = gaussian(seed=1)
    projects[:n_zero] *= zero
    if n_zero == 60:
        projects[:] = 0
    verdict = factors_are_finite_and_spread(table(gaussian(), projects))
    assert verdict.passed is passed
    assert verdict.facts["project_zero_share"] == pytest.approx(n_zero / 60)
    assert verdict.facts["user_zero_share"] == 0


def test_everybody_at_the_same_place_with_a_little_noise() -> None:
    collapsed = np.ones(N_FACTORS) + 0.05 * gaussian()
    verdict = factors_are_finite_and_spread(table(collapsed, gaussian(seed=1)))
    assert not verdict.passed
    assert verdict.facts["user_mean_cosine"] > 0.99
    assert "all have the same place" in verdict.message


def test_everybody_on_a_line_with_a_little_noise() -> None:
    line = np.outer(np.random.default_rng(0).normal(size=60), np.ones(N_FACTORS))
    verdict = factors_are_finite_and_spread(table(gaussian(), line + 0.05 * gaussian(seed=1)))
    assert not verdict.passed
    assert verdict.facts["project_effective_dimensions"] < 1.5
    assert "lie on a line" in verdict.message


def test_the_check_reads_rows_in_the_order_of_their_key(fitted: pl.DataFrame) -> None:
    # Of many rows some are drawn by number: another order would be another verdict.
    connection = duckdb.connect()
    connection.register("rows", fitted.sample(fraction=1, shuffle=True, seed=0))
    connection.execute("create table latent_factors as from rows")
    assert factors_are_finite_and_spread.blocking
    said = factors_are_finite_and_spread.look(connection, None)
    assert said == factors_are_finite_and_spread(fitted.sort("side", "id"))
