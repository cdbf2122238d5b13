"""Checks on tables that are written for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cf_pipeline.defs.checks import no_look_group_is_too_large, protocol_does_not_leak
from cf_pipeline.defs.resources import HomeResource
from cf_pipeline.storage.records import Draft
from cf_pipeline_tests.defs.lab import Lab


@contextmanager
def held(path: Path) -> Iterator[HomeResource]:
    resource = HomeResource(path=str(path))
    with (
        dg.build_init_resource_context() as context,
        resource.yield_for_execution(context) as home,
    ):
        yield home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[HomeResource]:
    with held(tmp_path / "home") as home:
        yield home


def publish(home: HomeResource, asset: str, scope: str | None = None, **tables: object) -> None:
    draft = Draft(asset, "code", "config", {}, "run", datetime.now(UTC), 1.0, data_version=scope)
    home.warehouse.publish(draft, tables, scope=scope)  # type: ignore[arg-type]


def covers(groups: list[str]) -> pl.DataFrame:
    """One readable cover per group that is named, and one that is missing."""
    n = len(groups)
    return pl.DataFrame({
        "project_id": [f"{row:03}" for row in range(n + 1)],
        "path": [f"{row}.png" for row in range(n + 1)],
        "sha256": [f"{row}" for row in range(n)] + [None],
        "width": [1] * n + [None],
        "height": [1] * n + [None],
        "format": ["PNG"] * n + [None],
        "status": ["ok"] * n + ["missing"],
        "reason": [None] * n + ["no such file"],
        "look_group": [*groups, None],
        "look_component": [*groups, None],
    })


@pytest.mark.parametrize(
    ("groups", "passed", "share"),
    [
        ([*["a"] * 5, *[f"b{row}" for row in range(95)]], True, 0.05),
        ([*["a"] * 6, *[f"b{row}" for row in range(94)]], False, 0.06),
        # Five covers that look like nothing else: alone is no group.
        (["a", "b", "c", "d", "e"], True, 0.2),
        (["a", "a", "c", "d", "e"], False, 0.4),
    ],
)
def test_a_look_group_above_a_twentieth_stops_the_run(
    home: HomeResource, groups: list[str], passed: bool, share: float
) -> None:
    publish(home, "covers", covers=covers(groups))
    result = no_look_group_is_too_large(home)
    assert result.passed is passed
    assert result.metadata["largest_share"].value == pytest.approx(share)
    assert "covers.max_hash_distance" in result.description


def differences(low: float) -> pl.DataFrame:
    row = {"split": "test", "reference": "chance", "measure": "triplet_accuracy", "high": 0.1}
    return pl.DataFrame([
        {**row, "feature_set": "popularity", "difference": 0.05, "low": low},
        # What has learned something is meant to be off chance.
        {**row, "feature_set": "color", "difference": 0.05, "low": 0.04},
    ]).with_columns(model_version=pl.lit("m1"))


@pytest.mark.parametrize(("low", "passed"), [(-0.01, True), (0.01, False)])
def test_popularity_off_chance_is_a_warning(home: HomeResource, low: float, passed: bool) -> None:
    model = pl.DataFrame({
        "model_version": ["m1"],
        "artifact": ["a"],
        "manifest": ["{}"],
        "trained_at": [datetime(2026, 1, 2)],
    })
    schema = {"model_version": str, "epoch": pl.Int32, "name": str, "value": float}
    history = pl.DataFrame(schema=schema)
    publish(home, "trained_cnn", "m1", trained_cnn=model, training_history=history)
    score = {"split": "test", "feature_set": "chance", "measure": "triplet_accuracy"}
    figures = {"value": 0.5, "low": 0.4, "high": 0.6, "n_queries": 9, "n_groups": 9}
    scores = pl.DataFrame([{**score, **figures, "chosen": False, "model_version": "m1"}])
    publish(
        home,
        "similarity_scores",
        "m1",
        similarity_scores=scores,
        similarity_differences=differences(low),
    )
    result = protocol_does_not_leak(home)
    assert result.passed is passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    named = result.metadata["rows_off_chance"].value
    assert named == ("none" if passed else "popularity triplet_accuracy test")


def test_a_failed_check_is_told_and_stops_what_is_below(lab: Lab) -> None:
    files = sorted(lab.world.glob("covers/*/*.png"))
    for file in files[:10]:
        file.write_bytes(files[0].read_bytes())
    outcome = lab.run("covers", "project_split")
    assert outcome.computed == ("covers",)
    [(check, message)] = outcome.failures.items()
    assert check == "covers (no_look_group_is_too_large)"
    assert "at most 5% is expected" in message
