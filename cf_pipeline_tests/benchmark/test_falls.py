"""Scores that fall by more than their interval are told."""

from __future__ import annotations

from datetime import datetime

import duckdb
import polars as pl
import pytest

from cf_pipeline.benchmark.falls import similarity_did_not_fall, task_scores_did_not_fall
from cf_pipeline.verdict import Check, Verdict

TRAINED = {"first": 1, "second": 2, "third": 3}


def task_row(model: str, value: float, **changed: object) -> dict[str, object]:
    return {
        "model_version": model,
        "task": "emoji",
        "feature_set": "collaborative",
        "metric": "mean_class_accuracy",
        "value": value,
        "low": value - 0.1,
        "high": value + 0.1,
        "n_used": 100,
        "n_test": 30,
        **changed,
    }


def similar_row(model: str, value: float, **changed: object) -> dict[str, object]:
    row = task_row(model, value, measure="ndcg_at_10", split="test", chosen=True)
    return {**row, **changed}


def said(check: Check, table: str, model: str, *rows: dict[str, object]) -> Verdict:
    """What the check finds in a warehouse with these rows, the model being the new one."""
    found = pl.DataFrame(rows)  # noqa: F841 - DuckDB finds it by its name
    trained = pl.DataFrame([  # noqa: F841
        {"model_version": name, "trained_at": datetime(2026, 1, day)}
        for name, day in TRAINED.items()
    ])
    with duckdb.connect() as connection:
        connection.execute(f"create table {table} as select * from found")
        connection.execute("create table trained_cnn as select * from trained")
        return check.look(connection, model)


def tasks(*rows: dict[str, object], model: str = "second") -> Verdict:
    return said(task_scores_did_not_fall, "benchmark_scores", model, *rows)


def test_a_fall_beyond_the_interval_is_told() -> None:
    verdict = tasks(task_row("first", 0.6), task_row("second", 0.49))
    assert not verdict.passed
    assert "collaborative emoji, mean_class_accuracy 0.490 after 0.600 [0.500, 0.700]" in (
        verdict.message
    )
    assert verdict.facts == {"n_compared": 1, "n_fell": 1}
    assert not task_scores_did_not_fall.blocking


@pytest.mark.parametrize("value", [0.51, 0.6, 0.9])
def test_within_the_interval_or_above_nothing_is(value: float) -> None:
    verdict = tasks(task_row("first", 0.6), task_row("second", value))
    assert verdict.passed
    assert "with model first" in verdict.message


def test_the_last_model_before_is_what_counts() -> None:
    rows = (task_row("first", 0.9), task_row("second", 0.6), task_row("third", 0.55))
    assert tasks(*rows, model="third").passed
    # One that was trained later is no model before.
    assert not tasks(*rows, model="second").passed
    assert "No model before" in tasks(*rows, model="first").message


@pytest.mark.parametrize("changed", [{"n_used": 99}, {"n_test": 29}, {"task": "other"}])
def test_another_task_is_not_compared(changed: dict[str, object]) -> None:
    verdict = tasks(task_row("first", 0.6), task_row("second", 0.1, **changed))
    assert verdict.passed
    assert verdict.facts["n_compared"] == 0


def test_only_primary_metrics_are() -> None:
    others = [task_row(model, v, metric="map") for model, v in (("first", 0.6), ("second", 0.1))]
    alike = [task_row(model, 0.6) for model in ("first", "second")]
    assert tasks(*others, *alike).passed
    assert not tasks(*others).passed  # of a task that has no accuracy, map is


def test_similarity_goes_by_the_layers_that_were_chosen() -> None:
    rows = (
        similar_row("first", 0.6),
        similar_row("first", 0.1, feature_set="predicted_factors", chosen=False),
        similar_row("second", 0.45, feature_set="predicted_factors"),
        similar_row("second", 0.0, measure="same_field_at_10", feature_set="predicted_factors"),
        similar_row("second", 0.0, split="validation", feature_set="predicted_factors"),
    )
    verdict = said(similarity_did_not_fall, "similarity_scores", "second", *rows)
    assert not verdict.passed
    assert verdict.facts == {"n_compared": 1, "n_fell": 1}
    assert "predicted_factors ndcg_at_10 0.450 after 0.600" in verdict.message
