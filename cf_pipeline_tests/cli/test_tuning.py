"""`tune factors`: a table, a picture, and config.toml where it was asked for."""

from __future__ import annotations

import json
import re

import polars as pl

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline_tests.cli.conftest import Command
from cf_pipeline_tests.factorization.test_ranking import communities
from cf_pipeline_tests.models.trained_home import TrainedHome
from cf_pipeline_tests.wandb_log import read_run


def with_a_matrix(home: TrainedHome) -> None:
    matrix = communities()
    coo = matrix.user_items.tocoo()
    pairs = pl.DataFrame({
        "user_id": [matrix.user_ids[row] for row in coo.row],
        "project_id": [matrix.project_ids[column] for column in coo.col],
        "confidence": pl.Series(coo.data, dtype=pl.Float32),
        "occurred_at": pl.Series([None] * coo.nnz, dtype=pl.Datetime("us")),
    })
    home.publish("pruned_matrix", pruned_matrix=pairs)
    split = pl.DataFrame({"project_id": matrix.project_ids, "split": "train"})
    home.publish("project_split", project_split=split)


def test_settings_are_tried_shown_and_kept(trained: TrainedHome, cf: Command) -> None:
    none_yet = cf("tune", "factors")
    assert none_yet.code == 1
    assert "not there yet: pruned_matrix, project_split" in none_yet.err
    with_a_matrix(trained)
    Choices().with_assignments([
        "factorization.n_factors=4", "factorization.method.n_iterations=3",
        "factorization.method.regularization=0.09", "tracking.mode=offline",
    ]).write(trained.home.config_path)  # fmt: skip
    said = cf("tune", "factors", "--trials", "4", "--n-factors", "3,4")
    assert said.code == 0, said.err
    assert re.search(r"\n4 trials, \d+ users", said.out)
    assert (trained.home.path / "tuning" / "factors.png").read_bytes()[:4] == b"\x89PNG"
    (log,) = trained.home.wandb_path.rglob("*.wandb")
    tracked = read_run(log)
    assert len(tracked["history"]) >= 4
    assert tracked["summary"]["best"] > 0
    again = cf("tune", "factors", "--trials", "6", "--n-factors", "3,4", "--write", "--json")
    trials = json.loads(again.out)
    assert len(trials) == 6
    best = trials[0]
    kept = resolve(Choices.read(trained.home.config_path)).factorization
    method = kept.method.model_dump()
    assert (kept.n_factors, method["regularization"]) == (best["n_factors"], best["regularization"])
    assert method["n_iterations"] == 3


def test_what_cannot_be_searched_by_is_told(trained: TrainedHome, cf: Command) -> None:
    with_a_matrix(trained)
    assert "expected one of recall_at_20" in cf("tune", "factors", "--metric", "auc").err
    assert "expected whole numbers of 2 or more" in cf("tune", "factors", "--n-factors", "x").err
