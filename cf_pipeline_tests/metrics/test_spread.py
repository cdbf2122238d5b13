"""Spread: known values, laws, and the obvious way to compute them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_pipeline.errors import DataError
from cf_pipeline.metrics.spread import (
    effective_dimensions,
    fewest_dimensions,
    mean_cosine,
    sampled_rows,
)
from cf_pipeline.vectors import Matrix, unit_norm


def gaussian(n: int, d: int, seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(1, 12), st.integers(0, 99))
def test_mean_cosine_is_the_mean_over_pairs(n: int, d: int, seed: int) -> None:
    vectors = gaussian(n, d, seed)
    cosines = unit_norm(vectors) @ unit_norm(vectors).T
    expected = cosines[~np.eye(n, dtype=bool)].mean()
    assert mean_cosine(vectors) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(1, 12), st.integers(0, 99))
def test_effective_dimensions_come_from_eigenvalues(n: int, d: int, seed: int) -> None:
    vectors = gaussian(n, d, seed)
    centered = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    eigenvalues = np.linalg.eigvalsh(centered.T @ centered)
    found = effective_dimensions(vectors)
    assert found == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())
    assert 1 - 1e-9 <= found <= min(n - 1, d) + 1e-9
    # Neither place, nor size, nor direction matters.
    turned, _ = np.linalg.qr(gaussian(d, d, seed + 1))
    assert effective_dimensions(3 * vectors @ turned + 1) == pytest.approx(found, rel=1e-3)


def test_variance_spread_evenly_over_k_directions_is_k() -> None:
    corners = np.concatenate([np.eye(5, 9), -np.eye(5, 9)]).astype(np.float32)
    assert effective_dimensions(corners) == pytest.approx(5)


def test_a_line_has_one_dimension_and_a_point_none() -> None:
    line = np.outer(np.arange(8), np.ones(4)).astype(np.float32)
    assert effective_dimensions(line) == pytest.approx(1)
    assert effective_dimensions(np.full((8, 4), 0.1, dtype=np.float32)) == 0
    assert effective_dimensions(np.empty((0, 4), dtype=np.float32)) == 0


def test_one_vector_has_no_pairs() -> None:
    with pytest.raises(DataError, match="at least 2 vectors, got 1"):
        mean_cosine(gaussian(1, 3))


def test_a_few_rows_cannot_span_more_than_they_are() -> None:
    assert fewest_dimensions(1000, 64) == 1.5
    assert fewest_dimensions(3, 64) == pytest.approx(0.8)
    assert fewest_dimensions(1000, 1) == pytest.approx(0.4)


def test_samples_are_rows_in_order_and_the_same_each_time() -> None:
    vectors = np.arange(200, dtype=np.float32).reshape(100, 2)
    sample = sampled_rows(vectors, 30, seed=1)
    assert sample.shape == (30, 2)
    assert (np.diff(sample[:, 0]) > 0).all()
    assert np.array_equal(sample, sampled_rows(vectors, 30, seed=1))
    assert sampled_rows(vectors, 100, seed=1) is vectors
