"""A warehouse in a fresh folder, and small frames that fit the declared tables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from cf_pipeline.storage.records import Draft
from cf_pipeline.storage.warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb", threads=1, lock_timeout_seconds=30)


@pytest.fixture
def draft() -> Callable[..., Draft]:
    def make(asset: str, **changes: Any) -> Draft:
        values: dict[str, Any] = {
            "code_version": "code",
            "config_hash": "config",
            "inputs": {"raw_projects": "v1"},
            "run_id": "run-1",
            "computed_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "seconds": 1.5,
        }
        return Draft(asset, **{**values, **changes})

    return make


@pytest.fixture
def splits() -> Callable[..., pl.DataFrame]:
    """Frame of `project_split`, one row per id: splits("train", "a", "b")."""

    def make(split: str, *ids: str) -> pl.DataFrame:
        schema = {"project_id": pl.String, "split": pl.String}
        return pl.DataFrame([(id_, split) for id_ in ids], schema=schema, orient="row")

    return make


@pytest.fixture
def embeddings() -> Callable[..., pl.DataFrame]:
    """Frame of `embeddings` for one model: vectors of given lengths, drawn from a seed."""

    def make(
        model_version: str, n_rows: int = 3, n_features: int = 4, n_factors: int = 2, seed: int = 0
    ) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        return pl.DataFrame({
            "project_id": [f"p{row}" for row in range(n_rows)],
            "model_version": [model_version] * n_rows,
            "sha256": ["00"] * n_rows,
            "features": rng.normal(size=(n_rows, n_features)).astype(np.float32),
            "predicted_factors": rng.normal(size=(n_rows, n_factors)).astype(np.float32),
        })

    return make
