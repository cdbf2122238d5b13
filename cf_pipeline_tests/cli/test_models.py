"""`models`, `promote`, `accept`, `gc` and `lineage`, on models that nobody trained."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from cf_pipeline.configuration.choices import Choices
from cf_pipeline.defs.running import instance_of
from cf_pipeline_tests.cli.conftest import Command
from cf_pipeline_tests.cli.spoiling import spoil_rows
from cf_pipeline_tests.defs.lab import Lab
from cf_pipeline_tests.models.trained_home import TrainedHome, empty


def test_models_are_listed_newest_first_with_roles_and_scores(
    trained: TrainedHome, cf: Command
) -> None:
    old = trained.train(1)
    new = trained.train(2, inputs={"started_from": old})
    trained.score(old, 0.625)
    trained.appoint(challenger=new, champion=old, best=old)
    said = cf("models")
    assert said.code == 0
    _, first, second, *below = said.out.splitlines()
    assert first.split() == [new, "challenger", "2026-01-04", "03:04"]
    assert second.split() == [
        *(old, "best,", "champion"),
        *("2026-01-03", "03:04"),
        *("0.625", "0.625"),
    ]
    assert below == [f"{new} continues {old}"]


def test_models_say_what_differs_in_their_settings(trained: TrainedHome, cf: Command) -> None:
    def made_with(epochs: int, **words: str) -> dict[str, Any]:
        return {"configuration": {"vision.epochs": epochs, "vision.seed": 0}, **words}

    old = trained.train(1, metadata=made_with(3, budget="demo"))
    new = trained.train(2, metadata=made_with(8, budget="full"))
    said = cf("models")
    assert said.code == 0
    *_, last = said.out.splitlines()
    assert last == (
        f"{old} was made with (in brackets: the newest): budget demo (full), vision.epochs 3 (8)"
    )
    assert new in said.out


def test_a_home_without_models_lists_none(trained: TrainedHome, cf: Command) -> None:
    said = cf("models")
    assert said.code == 0
    assert said.out.split()[0] == "model"
    assert len(said.out.splitlines()) == 1


def test_promoting_needs_one_model_and_a_first_run(trained: TrainedHome, cf: Command) -> None:
    said = cf("promote", "abc")
    assert said.code == 1
    assert "no version begins with 'abc'; there are none" in said.err
    old, new = trained.train(1), trained.train(2)
    said = cf("promote", "")
    assert said.code == 1
    assert f"2 versions begin with ''; there are {new}, {old}" in said.err
    said = cf("promote", old)
    assert said.code == 1
    assert "nothing was ever promoted here. Run cf-pipeline run first." in said.err


def test_a_promoted_model_takes_the_role_and_leaves_the_others(
    trained: TrainedHome, cf: Command
) -> None:
    old, new = trained.train(1), trained.train(2)
    trained.cover()
    trained.embed(old, 1.0)
    trained.appoint(challenger=new, champion=new, best=new)
    before = trained.warehouse.record("promoted_model")
    assert cf("promote", old[:5]).out == f"{old} is the champion\n"
    roles = trained.warehouse.frame("promoted_model", ("role", "model_version", "reason"))
    kept = "so that there is one"
    assert roles.rows() == [
        ("best", new, kept),
        ("challenger", new, kept),
        ("champion", old, "promoted by hand"),
    ]
    after = trained.warehouse.record("promoted_model")
    assert before is not None
    assert after is not None
    assert (after.inputs, after.code_version) == (before.inputs, before.code_version)
    assert after.data_version != before.data_version
    with instance_of(trained.home) as instance:
        event = instance.get_latest_data_version_record(dg.AssetKey("promoted_model"))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.tags["dagster/data_version"] == after.data_version
    assert event.asset_materialization.metadata["champion"].value == old
    # Whom one promotes again stays, and nothing is written.
    assert cf("promote", old).code == 0
    assert trained.warehouse.record("promoted_model") == after


def test_a_champion_that_cannot_embed_is_told(trained: TrainedHome, cf: Command) -> None:
    old, new = trained.train(1), trained.train(2)
    trained.embed(old, 1.0)
    none = empty("user_embeddings", "user_embeddings_rejected")
    trained.publish("user_embeddings", **none)
    trained.cover("another picture by now")
    trained.appoint(challenger=new, champion=new, best=new)
    said = cf("promote", old)
    assert said.code == 1
    assert f"{old} is the champion, but its embeddings failed: no checkpoint in " in said.err


HOLDS = """
import sys, time
from pathlib import Path
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import Holder, HomeLock
with HomeLock(Home(Path(sys.argv[1]))).acquire(Holder.current(), wait=False):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def elsewhere(trained: TrainedHome) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the home."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, trained.home.path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_home_that_is_busy_is_left_alone(
    trained: TrainedHome, cf: Command, elsewhere: subprocess.Popen[str]
) -> None:
    old, new = trained.train(1), trained.train(2)
    trained.appoint(challenger=new, champion=new, best=new)
    for command in (("promote", old), ("accept", "covers"), ("gc",), ("gc", "--dry-run")):
        said = cf(*command)
        assert said.code == 1
        assert f"held by process {elsewhere.pid}" in said.err
    rows = trained.warehouse.frame("promoted_model")
    assert set(rows["model_version"]) == {new}


def test_what_goes_is_said_before_and_after(trained: TrainedHome, cf: Command) -> None:
    Choices(set={"promotion.keep": 1}).write(trained.home.config_path)
    first, second = trained.train(1), trained.train(2)
    third = trained.train(3, inputs={"started_from": first})
    fourth = trained.train(4)
    for model in (second, third):
        trained.embed(model, 1.0)
    # The champion continues the first, which has no role.
    trained.appoint(challenger=fourth, champion=third, best=third)
    folders = trained.home.artifacts_path / "checkpoint"
    said = cf("gc", "--dry-run")
    assert said.code == 0
    told = r"(.*): 1 model versions, 5 rows, 1 artifacts, 0.0 MB\n  (.*)\n"
    counted = re.fullmatch(told, said.out)
    assert counted is not None
    assert counted.groups() == ("would go", second)
    assert len(list(folders.iterdir())) == 4
    said = cf("gc")
    assert (said.code, said.out.split(":")[0]) == (0, "removed")
    left = {first, third, fourth}
    assert {path.name for path in folders.iterdir()} == left
    for table in ("trained_cnn", "trained_on"):
        assert set(trained.warehouse.frame(table)["model_version"]) == left
    assert set(trained.warehouse.frame("embeddings")["model_version"]) == {third}
    assert cf("gc").out.startswith("removed: 0 model versions, 0 rows, 0 artifacts")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "lineage takes a PROJECT_ID or --model VERSION, one of them"),
        (["1", "--model", "abc"], "lineage takes a PROJECT_ID or --model VERSION, one of them"),
        (["nobody"], "no project 'nobody' in "),
        (["--model", "xyz"], "no version begins with 'xyz'"),
    ],
)
def test_a_lineage_of_nothing_is_refused(
    trained: TrainedHome, cf: Command, arguments: list[str], expected: str
) -> None:
    trained.split()
    said = cf("lineage", *arguments)
    assert said.code == 1
    assert expected in said.err


def test_a_lineage_is_a_tree_or_json(trained: TrainedHome, cf: Command) -> None:
    trained.split()
    files = {"n": 1, "folders": [], "sha256": {"/data/[a].csv": "0a1b"}}
    model = trained.train(
        1, inputs={"project_split": "v1"}, metadata={"files": files, "recipe": "talk2015"}
    )
    trained.embed(model, 1.0)
    said = cf("lineage", "--model", model[:4])
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0].startswith(f"trained_cnn {model}  code code of trained_cnn  2026-01-02 05:04")
    assert lines[1].endswith("/data/[a].csv  sha256 0a1b")
    assert "project_split v1" in lines[2]
    of_project = cf("lineage", "01398047").out.splitlines()
    assert {"project_id: 01398047", "split: test", f"embedded_by: {model}"} <= set(of_project)
    start = next(n for n, line in enumerate(of_project) if line.startswith("embeddings"))
    assert f"trained_cnn {model}" in of_project[start + 1]
    told = json.loads(cf("lineage", "01398047", "--json").out)
    assert told["split"] == "test"
    assert [made["asset"] for made in told["made"]] == [
        "embeddings",
        "trained_cnn",
        "project_split",
    ]
    assert told["made"][1]["files"] == files
    assert json.loads(cf("lineage", "--model", model, "--json").out)["choices"]["recipe"] == (
        "talk2015"
    )


@pytest.mark.slow
def test_what_is_harmless_is_accepted_and_computed_no_more(at_home: Lab, cf: Command) -> None:
    at_home.choose(split__seed=3)
    before = at_home.rows("project_split")
    said = cf("accept", "project_split", "covers")
    assert said.code == 0
    why = "configuration changed: split"
    assert said.out.splitlines() == [
        f"project_split: accepted ({why})",
        "covers is fresh: nothing to accept",
    ]
    assert cf("run", "--select", "project_split").out.startswith("0 assets computed, 1 unchanged")
    assert at_home.rows("project_split").equals(before)
    note = at_home.warehouse.records()["project_split"].metadata["accepted"]
    assert note["why_due"] == why
    # It is told wherever the rows come from: here as a model's split.
    trained = TrainedHome(at_home.home)
    version = at_home.warehouse.records()["project_split"].data_version
    trained.hours = 24 * 365 * 10
    model = trained.train(1, inputs={"project_split": version})
    told = cf("lineage", "--model", model).out
    assert f"project_split {version}: accepted {note['at']} ({why}; made by code" in told


def test_what_cannot_be_accepted_is_said_and_nothing_is(at_home: Lab, cf: Command) -> None:
    at_home.choose(split__seed=3)
    records = at_home.warehouse.records()
    for assets, words in (
        (["project_splits"], "no asset 'project_splits'; the assets are "),
        (["trained_cnn"], "Materialize training_set first"),
        (["training_set"], "Materialize latent_factors first"),
    ):
        said = cf("accept", "project_split", *assets)
        assert said.code == 1
        assert words in said.err
    spoil_rows(at_home)
    other = cf("accept", "project_split", "raw_interactions")
    assert other.code == 1
    assert "raw_interactions cannot be accepted: changed upstream: files. Only changes of" in (
        other.err
    )
    assert at_home.warehouse.records() == records
