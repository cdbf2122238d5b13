"""Fresh, stale and why, failed and why, missing."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import pytest

from cf_pipeline.defs.conditions import STAGES
from cf_pipeline.errors import ConfigError
from cf_pipeline_tests.defs.lab import INTERACTIONS, Lab


def test_fresh_and_missing(lab: Lab) -> None:
    statuses = lab.status()
    assert set(statuses) == set(STAGES)
    # In the order of the graph: parents first.
    order = list(statuses)
    for name, spec in STAGES.items():
        assert all(order.index(parent) < order.index(name) for parent in spec.parents)
    for name, status in statuses.items():
        if name in INTERACTIONS:
            assert (status.state, status.why) == ("fresh", "")
            assert status.computed_at is not None
            assert status.computed_at < datetime.now(UTC)
        else:
            assert (status.state, status.computed_at) == ("missing", None)


def test_failed_says_why_until_it_is_mended(lab: Lab) -> None:
    lab.choose(pruning__min_user_degree=1000)
    outcome = lab.run("pruned_matrix", "latent_factors")
    failed = lab.status()
    assert failed["pruned_matrix"].state == "failed"
    assert failed["pruned_matrix"].computed_at is not None
    assert "Lower pruning.min_user_degree (1000)" in failed["pruned_matrix"].why
    assert outcome.run_id in failed["pruned_matrix"].why
    # What was not reached did not fail.
    assert failed["latent_factors"].state == "missing"
    lab.choose(pruning__min_user_degree=4)
    assert lab.run("pruned_matrix").computed == ("pruned_matrix",)
    lab.choose(pruning__min_user_degree=6)
    assert lab.stale()["pruned_matrix"] == "configuration changed: pruning"


def test_a_failure_that_was_taken_back_is_fresh(lab: Lab) -> None:
    """The rows are those that computing would give: nothing has to be done."""
    lab.choose(pruning__min_user_degree=1000)
    lab.run("pruned_matrix")
    lab.choose()
    assert lab.status()["pruned_matrix"].state == "fresh"


@pytest.mark.slow
def test_an_asset_that_never_succeeded(lab: Lab) -> None:
    lab.choose(benchmark__tasks__noto_emoji=str(lab.world / "absent"))
    lab.run("benchmark_tasks")
    status = lab.status()["benchmark_tasks"]
    assert (status.state, status.computed_at) == ("failed", None)
    assert "absent" in status.why


def test_files_that_are_gone(lab: Lab) -> None:
    shutil.rmtree(lab.world / "covers")
    assert "does not exist" in lab.stale()["covers"]
    (lab.world / "dataset.toml").unlink()
    with pytest.raises(ConfigError, match="no data set file"):
        lab.status()
