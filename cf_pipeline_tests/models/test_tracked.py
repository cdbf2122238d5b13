"""What wandb is told of an evaluation: versions, tables, and scores by name."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import wandb

from cf_pipeline.configuration.choices import Choices
from cf_pipeline.models.tracked import track_evaluation, versions_read
from cf_pipeline_tests.models.trained_home import TrainedHome
from cf_pipeline_tests.wandb_log import read_run

SIMILARITY = pl.DataFrame({
    "split": ["test"],
    "feature_set": ["color"],
    "measure": ["ndcg_at_10"],
    "value": [0.25],
})
PROBE = pl.DataFrame({
    "task": ["noto_emoji"],
    "feature_set": ["color"],
    "metric": ["accuracy"],
    "value": [0.5],
})


def test_versions_of_parents_and_words_of_the_configuration(trained: TrainedHome) -> None:
    Choices(budget="demo").write(trained.home.config_path)
    trained.split()
    stage = trained.stage("similarity_scores", parents=("project_split",))
    assert versions_read(stage) == {
        "recipe": "modern",
        "budget": "demo",
        "data_versions": {"project_split": "v1"},
    }


@pytest.mark.parametrize(
    ("scores", "name"),
    [(SIMILARITY, "test/color/ndcg_at_10"), (PROBE, "noto_emoji/color/accuracy")],
)
def test_an_evaluation_is_a_run_grouped_by_dagsters(
    trained: TrainedHome, scores: pl.DataFrame, name: str
) -> None:
    stage = trained.stage("similarity_scores")
    where = track_evaluation(stage, "m1", {"scores": scores}, {})
    wandb.teardown()  # the service may still write when a run is finished
    [log] = Path(where).glob("*.wandb")
    assert log.is_relative_to(trained.home.wandb_path)
    found = read_run(log)
    assert (found["run"].job_type, found["run"].run_group) == ("evaluation", "run 7")
    assert found["config"]["model_version"] == "m1"
    assert found["summary"][name] == scores["value"][0]


def test_where_tracking_is_disabled_it_is_said(trained: TrainedHome) -> None:
    Choices(set={"tracking.mode": "disabled"}).write(trained.home.config_path)
    stage = trained.stage("similarity_scores")
    assert track_evaluation(stage, "m1", {"scores": SIMILARITY}, {}) == "not tracked"
