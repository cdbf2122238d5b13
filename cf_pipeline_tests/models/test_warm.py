"""What a retraining goes on from, and what a chain of models has seen."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.queries import PAIR_SCHEMA
from cf_pipeline.models.warm import trained_on, warm_checkpoint
from cf_pipeline_tests.models.trained_home import TrainedHome, empty


def fit(
    trained: TrainedHome, version: str, started_from: str | None = None, split: str = "train"
) -> None:
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
        "split": [split],
        "width": [8],
        "height": [8],
        "path": ["2.png"],
    })
    trained.publish(
        "training_set",
        version=f"set of {version}",
        inputs={"latent_factors": version},
        training_set=rows,
        validation_relevances=pl.DataFrame(schema=PAIR_SCHEMA),
        **empty("training_vectors"),
    )


def test_only_the_schedule_starts_warm(trained: TrainedHome) -> None:
    fit(trained, "f1")
    # There is no model yet.
    assert warm_checkpoint(trained.stage("trained_cnn", warm=True)) is None
    model = trained.train(1, inputs={"training_set": "set of f1"})
    assert warm_checkpoint(trained.stage("trained_cnn")) is None
    start = warm_checkpoint(trained.stage("trained_cnn", warm=True))
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
    start = warm_checkpoint(trained.stage("trained_cnn", warm=True))
    assert (start is not None) == continues
    assert ("starts cold: latent_factors were fitted anew" in caplog.text) != continues


def test_a_model_of_factors_that_nobody_remembers_starts_cold(trained: TrainedHome) -> None:
    fit(trained, "f1")
    trained.train(1, inputs={"training_set": "a set of long ago"})
    assert warm_checkpoint(trained.stage("trained_cnn", warm=True)) is None


def test_a_model_has_seen_what_the_one_it_continues_has_seen(trained: TrainedHome) -> None:
    fit(trained, "f1", split="validation")
    stage = trained.stage("trained_cnn")

    def seen(**earlier: str | None) -> list[tuple[str, str | None]]:
        model = trained.train(1, seen=earlier, inputs={"training_set": "set of f1"})
        return trained_on(stage, model).rows()

    assert trained_on(stage, None).rows() == [("2", "validation")]
    assert seen(**{"1": "train"}) == [("1", "train"), ("2", "validation")]
    # Who was once fitted to a project stays fitted to it, whichever half it is in now.
    assert seen(**{"2": "train"}) == [("2", "train")]
    # Release 0.1.0 did not say; today's half is what is known.
    assert seen(**{"1": None, "2": None}) == [("1", None), ("2", "validation")]
