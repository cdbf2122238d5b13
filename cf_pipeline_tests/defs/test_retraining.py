"""What a retraining goes on from, and when it may take a champion's place that a person chose."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.promotion import Comparison
from cf_pipeline.defs.promotion import BY_HAND, decided
from cf_pipeline.defs.stage import Stage
from cf_pipeline.defs.warm import trained_on, warm_checkpoint
from cf_pipeline.recipes.configuration import Choices, resolve
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.home import Home
from cf_pipeline_tests.defs.trained_home import COMPARISONS, TrainedHome


@pytest.fixture
def trained(tmp_path: Path) -> TrainedHome:
    home = Home(tmp_path / "home")
    home.create()
    return TrainedHome(home)


def stage(trained: TrainedHome, asset: str, *, warm: bool = False) -> Stage:
    """An asset in the making."""
    configuration = resolve(Choices())
    return Stage(
        asset=asset,
        run_id="run",
        configuration=configuration,
        dataset=load_dataset(configuration.dataset),
        warehouse=trained.warehouse,
        artifacts=Artifacts(trained.home.artifacts_path),
        scratch=trained.home.path,
        wandb_folder=trained.home.wandb_path,
        previous=trained.warehouse.record(asset),
        reusable=False,
        warm=warm,
        log=logging.getLogger("a run"),
    )


# Warm starts ------------------------------------------------------------------------------------


def fit(trained: TrainedHome, version: str, started_from: str | None = None) -> None:
    """Factors, and a training set that holds them."""
    factors = {"factors": np.ones((1, 2), dtype=np.float32)}
    rows = pl.DataFrame({"side": ["project"], "id": ["1"], **factors, "folded_in": [False]})
    inputs = {"started_from": started_from} if started_from else {}
    trained.publish("latent_factors", version=version, inputs=inputs, latent_factors=rows)
    rows = pl.DataFrame({
        "project_id": ["2"],
        "sha256": ["00"],
        **factors,
        "degree": [1],
        "split": ["train"],
        "path": ["2.png"],
    })
    trained.publish(
        "training_set",
        version=f"set of {version}",
        inputs={"latent_factors": version},
        training_set=rows,
    )


def test_only_the_schedule_starts_warm(trained: TrainedHome) -> None:
    fit(trained, "f1")
    assert warm_checkpoint(stage(trained, "trained_cnn", warm=True)) is None  # there is no model
    model = trained.train(1, inputs={"training_set": "set of f1"})
    assert warm_checkpoint(stage(trained, "trained_cnn")) is None
    start = warm_checkpoint(stage(trained, "trained_cnn", warm=True))
    assert start is not None
    assert start.version == start.folder.name == model


@pytest.mark.parametrize(
    ("fits", "continues"),
    [
        ([("f2", "f1")], True),
        ([("f2", "f1"), ("f3", "f2")], True),
        ([("f2", None)], False),
        ([("f2", None), ("f3", "f2")], False),
        ([("f2", "f2")], False),  # converged: they came out as they went in
        ([("f2", "f3"), ("f3", "f2")], False),
    ],
)
def test_a_network_continues_where_factors_continue(
    trained: TrainedHome,
    caplog: pytest.LogCaptureFixture,
    fits: list[tuple[str, str | None]],
    continues: bool,
) -> None:
    fit(trained, "f1")
    trained.train(1, inputs={"training_set": "set of f1"})
    for version, started_from in fits:
        fit(trained, version, started_from)
    start = warm_checkpoint(stage(trained, "trained_cnn", warm=True))
    assert (start is not None) == continues
    assert ("starts cold: latent_factors were fitted anew" in caplog.text) != continues


def test_a_model_has_seen_what_the_one_it_continues_has_seen(trained: TrainedHome) -> None:
    fit(trained, "f1")
    model = trained.train(1, inputs={"training_set": "set of f1"})
    cold, warm = (trained_on(stage(trained, "trained_cnn"), start) for start in (None, model))
    assert cold["project_id"].to_list() == ["2"]
    assert warm["project_id"].to_list() == ["1", "2"]


# By hand ----------------------------------------------------------------------------------------


def better(challenger: str, champion: str) -> Comparison:
    """A challenger that wins."""
    row = {
        "model_version": challenger,
        "reference_role": "champion",
        "reference_version": champion,
        "measure": "triplet_accuracy",
        "value": 0.8,
        "reference_value": 0.7,
        "difference": 0.1,
        "low": 0.05,
        "high": 0.15,
        "n_queries": 100,
        "n_groups": 100,
    }
    return Comparison(
        challenger=challenger,
        champion=champion,
        best=champion,
        table=pl.DataFrame([row], schema=COMPARISONS),
        means={challenger: 0.8, champion: 0.7},
        n_pool=100,
        n_trained_on=0,
    )


def appoint(trained: TrainedHome, reason: str) -> None:
    trained.appoint(challenger="b", champion="a", best="a")
    rows = trained.warehouse.frame("promoted_model")
    rows = rows.with_columns(reason=pl.lit(reason))
    comparisons = trained.warehouse.frame("promotion_comparisons")
    trained.publish(
        "promoted_model",
        version="v2",
        promoted_model=rows,
        promotion_comparisons=comparisons,
    )


def test_a_person_is_overruled_by_a_newer_model_only(trained: TrainedHome) -> None:
    appoint(trained, BY_HAND)
    # Compared again, as after one more interaction: the person knew this challenger.
    same = decided(stage(trained, "promoted_model"), better("b", "a"))
    assert (same.promoted, same.reason) == (False, BY_HAND)
    assert same.best_version == "b"
    newer = decided(stage(trained, "promoted_model"), better("c", "a"))
    assert newer.promoted
    assert "triplet_accuracy +0.1000" in newer.reason


def test_without_a_person_the_rule_decides_whenever_it_is_asked(trained: TrainedHome) -> None:
    assert decided(stage(trained, "promoted_model"), better("b", "a")).promoted
    appoint(trained, "it won")
    assert decided(stage(trained, "promoted_model"), better("b", "a")).promoted
