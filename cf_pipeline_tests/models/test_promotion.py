"""Who serves: what is compared, when a person is overruled, and the rows that say who won."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.deciding import Decision, decide
from cf_pipeline.benchmark.promotion import COMPARISON_SCHEMA, Comparison
from cf_pipeline.errors import DataError
from cf_pipeline.models.promotion import (
    BY_HAND,
    candidate,
    decided,
    promoted_tables,
    role_rows,
)
from cf_pipeline_tests.models.trained_home import START, TrainedHome


def better(challenger: str, champion: str) -> Comparison:
    """A challenger that wins on validation, whatever test says."""
    row = {
        "model_version": challenger,
        "reference_role": "champion",
        "reference_version": champion,
        "measure": "triplet_accuracy",
        "n_queries": 100,
        "n_groups": 100,
    }
    wins = {"split": "validation", "difference": 0.1, "low": 0.05, "high": 0.15}
    loses = {"split": "test", "difference": -0.1, "low": -0.15, "high": -0.05}
    table = pl.DataFrame([row | wins, row | loses], schema=COMPARISON_SCHEMA)
    return Comparison(challenger, champion, champion, table, n_pool=100, n_trained_on=3)


def test_a_person_is_overruled_by_a_newer_model_only(trained: TrainedHome) -> None:
    trained.appoint(reason=BY_HAND, challenger="b", champion="a", best="a")
    stage = trained.stage("promoted_model")
    # Compared again, as after one more interaction: the person knew this challenger.
    same = decided(stage, better("b", "a"))
    assert (same.promoted, same.reason, same.best_version) == (False, BY_HAND, "b")
    newer = decided(stage, better("c", "a"))
    assert newer.promoted
    assert "triplet_accuracy +0.1000" in newer.reason


def test_without_a_person_the_rule_decides_whenever_it_is_asked(trained: TrainedHome) -> None:
    comparison = better("b", "a")
    assert decided(trained.stage("promoted_model"), comparison) == decide(comparison)
    trained.appoint(reason="it won", challenger="b", champion="a", best="a")
    assert decided(trained.stage("promoted_model"), comparison).promoted


def test_who_keeps_a_role_keeps_the_time_at_which_it_took_it(trained: TrainedHome) -> None:
    trained.appoint(challenger="a", champion="a", best="a")
    stage, comparison = trained.stage("promoted_model"), better("b", "a")
    tables, facts = promoted_tables(stage, comparison, Decision(False, "a", "it lost"))
    rows = {row["role"]: row for row in tables["promoted_model"].to_dicts()}
    assert {role: row["model_version"] for role, row in rows.items()} == {
        "challenger": "b",
        "champion": "a",
        "best": "a",
    }
    assert rows["champion"]["reason"] == "it lost"
    since = START.replace(tzinfo=None)
    assert rows["champion"]["promoted_at"] == rows["best"]["promoted_at"] == since
    assert rows["challenger"]["promoted_at"] > since
    assert tables["promotion_comparisons"] is comparison.table
    assert facts == {
        "promoted": False,
        "reason": "it lost",
        "challenger": "b",
        "champion": "a",
        "best": "a",
        "projects_judged": 100,
        "validation_projects_fitted_to": 3,
    }
    won = {row["role"]: row for row in role_rows({}, comparison, Decision(True, "b", "it won"))}
    assert {row["model_version"] for row in won.values()} == {"b"}
    assert all(isinstance(row["promoted_at"], datetime) for row in won.values())


def test_a_candidate_is_judged_by_its_layer_on_what_it_was_not_fitted_to(
    trained: TrainedHome,
) -> None:
    trained.split()
    model = trained.train(1, seen={"1": "train", "01398047": "validation"})
    trained.embed(model, 2.0)
    trained.score("another", 0.6)
    with pytest.raises(DataError, match=f"{model} has no scores, .* similarity_scores"):
        candidate(trained.stage("promoted_model"), model)
    trained.score(model, 0.6)
    found = candidate(trained.stage("promoted_model"), model)
    assert (found.model_version, found.layer) == (model, "collaborative")
    assert found.vectors.ids == ("01398047", "1")
    assert np.array_equal(found.vectors.vectors, np.full((2, 3), 2.0, np.float32))
    assert found.trained_on == {"1"}
    # Of release 0.1.0's rows only today's validation projects count as not fitted to.
    old = trained.train(2, seen={"1": None, "01398047": None})
    trained.embed(old, 1.0)
    trained.score(old, 0.5)
    assert candidate(trained.stage("promoted_model"), old).trained_on == {"1", "01398047"}
