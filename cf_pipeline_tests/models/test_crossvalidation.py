"""Folds: what they share is computed once and copied, and every project is tested once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from cf_pipeline.benchmark.pooling import POOLED_SCHEMA
from cf_pipeline.configuration.choices import Choices
from cf_pipeline.errors import DataError
from cf_pipeline.models import crossvalidation as module
from cf_pipeline.models.crossvalidation import Folds
from cf_pipeline.recompute.staleness import StageSpec
from cf_pipeline.storage.home import Home
from cf_pipeline_tests.models.fold_homes import FEATURE_SETS, ran_fold
from cf_pipeline_tests.models.trained_home import TrainedHome

PARENTS = {
    "raw_projects": (),
    "project_split": ("raw_projects",),
    "pruned_matrix": ("raw_projects",),
    "trained_cnn": ("pruned_matrix", "project_split"),
    "similarity_scores": ("trained_cnn", "pruned_matrix"),
    "promoted_model": ("similarity_scores",),
}
STAGES = [
    StageSpec(asset, "tests", parents, (), None, ("cf_pipeline.defs", asset))
    for asset, parents in PARENTS.items()
]
CHOICES = Choices(budget="demo", set={"benchmark.n_resamples": 100})


@pytest.fixture
def folds(trained: TrainedHome) -> Folds:
    return Folds(trained.home, CHOICES, 3, STAGES)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Every run that was started, by the name of its home; what it would compute is written."""
    started: list[tuple[str, list[str]]] = []

    def run(home: Home, assets: Sequence[str]) -> None:
        started.append((home.path.name, list(assets)))
        if home.path.name == "common":
            rows = pl.DataFrame({
                "user_id": ["u"],
                "project_id": ["p"],
                "confidence": [1.0],
                "occurred_at": [None],
            })
            TrainedHome(home).publish("pruned_matrix", version="made here", pruned_matrix=rows)
        else:
            ran_fold(home)

    monkeypatch.setattr(module, "_run", run)
    return started


def test_what_does_not_depend_on_the_split_is_computed_once(folds: Folds) -> None:
    assert folds.common == ["raw_projects", "pruned_matrix"]
    assert folds.of_a_fold == ["project_split", "trained_cnn", "similarity_scores"]


@pytest.mark.slow
def test_every_fold_has_a_home_of_its_own_and_the_scoreboard_pools_their_newest_models(
    folds: Folds, runs: list[tuple[str, list[str]]]
) -> None:
    folds.compute(jobs=1)
    own = folds.of_a_fold
    assert runs == [("common", folds.common), ("0", own), ("1", own), ("2", own)]
    for fold in range(3):
        place = folds.fold_home(fold)
        assert place.path == folds.home.path / "folds" / str(fold)
        chosen = Choices.read(place.config_path)
        assert chosen.budget == "demo"
        assert chosen.set == {**CHOICES.set, "split.folds": 3, "split.fold": fold}
        copied = TrainedHome(place).warehouse.record("pruned_matrix")
        assert copied is not None
        assert copied.data_version == "made here"
    # The home itself is left as it was.
    assert not folds.home.config_path.exists()
    # A model of last week is no part of it, nor are projects of validation.
    board = folds.scoreboard()
    assert board.schema == pl.Schema(POOLED_SCHEMA)
    rows = {(row["feature_set"], row["reference"]): row for row in board.to_dicts()}
    assert {name for name, _ in rows} == {*FEATURE_SETS, "chosen"}
    ours = rows["collaborative", "imagenet"]
    assert ours["n_queries"] == 12
    assert (ours["value"], ours["difference"]) == (pytest.approx(0.7), pytest.approx(0.2))
    # Every fold chose that layer.
    assert rows["chosen", "imagenet"]["difference"] == ours["difference"]


def test_started_again_folds_begin_with_what_the_home_or_an_earlier_start_has(
    folds: Folds, runs: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = TrainedHome(folds.home)
    rows = pl.DataFrame({
        "user_id": ["u"],
        "project_id": ["p"],
        "confidence": [1.0],
        "occurred_at": [None],
    })
    trained.publish("pruned_matrix", version="of the home", pruned_matrix=rows)
    monkeypatch.setattr(module, "_run", lambda home, assets: None)
    folds.compute_common()
    common = TrainedHome(folds.common_home).warehouse
    found = common.record("pruned_matrix")
    assert found is not None
    assert found.data_version == "of the home"
    copied: list[tuple[Path, list[str]]] = []
    real = module.copy_assets

    def counted(source: Path, target: object, assets: Sequence[str]) -> None:
        copied.append((source, list(assets)))
        real(source, target, assets)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "copy_assets", counted)
    for _ in range(2):
        folds.compute_fold(1)
    # The second time there is nothing that the fold does not have already.
    assert copied == [(folds.common_home.warehouse_path, ["pruned_matrix"])]


def test_a_fold_without_a_model_is_named(folds: Folds) -> None:
    folds.fold_home(0).create()
    with pytest.raises(DataError, match="fold 0 has no model: run cf-pipeline crossvalidate again"):
        folds.scoreboard()


def test_a_run_that_fails_stops_the_others_and_is_named(
    folds: Folds, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def fails(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", fails)
    with pytest.raises(DataError, match=r"the run in .*common did not end well.*is kept"):
        folds.compute(jobs=2)
    home = str(folds.common_home.path)
    words = ["-m", "cf_pipeline", "run", "--home", home, "--select", "raw_projects,pruned_matrix"]
    assert commands == [[sys.executable, *words]]
