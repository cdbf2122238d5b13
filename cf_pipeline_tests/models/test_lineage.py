"""From a version back to what it was made of, and the configuration that makes it again."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.errors import DataError
from cf_pipeline.models.lineage import facts_of_project, lineage_of
from cf_pipeline.storage.history import version_record
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline_tests.models.trained_home import TrainedHome

MATRIX = pl.DataFrame({
    "user_id": ["u"],
    "project_id": ["1"],
    "confidence": [1.0],
    "occurred_at": [None],
})


def publish_matrix(trained: TrainedHome, version: str, **metadata: Any) -> AssetRecord:
    return trained.publish(
        "pruned_matrix", version=version, metadata=metadata, pruned_matrix=MATRIX
    )


def publish_factors(trained: TrainedHome, version: str, **inputs: str) -> AssetRecord:
    rows = pl.DataFrame({
        "side": ["project"],
        "id": ["1"],
        "factors": np.ones((1, 2), dtype=np.float32),
        "folded_in": [False],
    })
    return trained.publish("latent_factors", version=version, inputs=inputs, latent_factors=rows)


def test_every_version_is_told_once_the_one_asked_for_first(trained: TrainedHome) -> None:
    publish_matrix(trained, "m1", files={"sha256": {"a.csv": "aa"}})
    publish_factors(trained, "f1", pruned_matrix="m1")
    publish_matrix(trained, "m2")
    publish_factors(trained, "f2", pruned_matrix="m2", started_from="f1", files="hash of files")
    first = trained.train(1, inputs={"latent_factors": "f1", "pruned_matrix": "m1"})
    second = trained.train(2, inputs={"latent_factors": "f2", "started_from": first})
    told = lineage_of(trained.home, "trained_cnn", second)
    versions = [(made.asset, made.data_version) for made in told.made]
    assert versions[0] == ("trained_cnn", second)
    assert sorted(versions) == sorted([
        ("trained_cnn", second),
        ("trained_cnn", first),
        ("latent_factors", "f2"),
        ("latent_factors", "f1"),
        ("pruned_matrix", "m2"),
        ("pruned_matrix", "m1"),
    ])
    made = dict(zip(versions, told.made, strict=True))
    assert made["trained_cnn", second].started_from == first
    assert made["trained_cnn", second].inputs == {"latent_factors": "f2"}
    assert made["latent_factors", "f2"].inputs["files"] == "hash of files"
    assert made["pruned_matrix", "m1"].files == {"sha256": {"a.csv": "aa"}}
    assert told.missing == ()
    # The older model is told without what came later.
    old = lineage_of(trained.home, "trained_cnn", first[:6])
    assert {made.data_version for made in old.made} == {first, "f1", "m1"}
    assert lineage_of(trained.home, "latent_factors").made[0].data_version == "f2"
    assert json.loads(json.dumps(old.as_json()))["made"][0]["data_version"] == first


def test_a_version_that_was_made_twice_is_told_as_it_was_when_it_was_read(
    trained: TrainedHome,
) -> None:
    before = publish_factors(trained, "f1", pruned_matrix="m1")
    publish_matrix(trained, "m1")
    old = trained.train(1, inputs={"latent_factors": "f1"})
    publish_matrix(trained, "m2")
    again = publish_factors(trained, "f1", pruned_matrix="m2")
    new = trained.train(2, inputs={"latent_factors": "f1"})
    assert lineage_of(trained.home, "trained_cnn", old).made[1].inputs == before.inputs
    assert lineage_of(trained.home, "trained_cnn", new).made[1].inputs == again.inputs
    warehouse, moment = trained.warehouse, timedelta(seconds=1)
    for as_of, expected in (
        (None, again),
        (again.computed_at, again),
        (again.computed_at - moment, before),
        (before.computed_at - moment, again),
    ):
        assert version_record(warehouse, "latent_factors", "f1", as_of) == expected
    assert version_record(warehouse, "latent_factors", "f2", before.computed_at) is None


def test_a_chain_that_bites_its_tail_ends(trained: TrainedHome) -> None:
    publish_factors(trained, "f1", started_from="f1")
    assert len(lineage_of(trained.home, "latent_factors").made) == 1


def test_what_is_not_recorded_is_said(trained: TrainedHome) -> None:
    model = trained.train(1, inputs={"training_set": "t1", "files": "hash of files"})
    told = lineage_of(trained.home, "trained_cnn", model)
    assert told.missing == ("training_set t1",)
    assert [made.asset for made in told.made] == ["trained_cnn"]


def test_an_unknown_version_is_refused(trained: TrainedHome) -> None:
    with pytest.raises(DataError, match="trained_cnn was not computed yet in"):
        lineage_of(trained.home, "trained_cnn")
    with pytest.raises(DataError, match="no version begins with 'abc'"):
        lineage_of(trained.home, "trained_cnn", "abc")
    publish_matrix(trained, "m1")
    publish_matrix(trained, "m2")
    with pytest.raises(DataError, match="2 versions begin with 'm'; there are m1, m2"):
        lineage_of(trained.home, "pruned_matrix", "m")
    assert lineage_of(trained.home, "pruned_matrix", "m1").made[0].data_version == "m1"


def test_the_choices_resolve_to_what_each_stage_was_made_with(
    trained: TrainedHome, tmp_path: Path
) -> None:
    then = resolve(
        Choices(
            recipe="modern",
            budget="demo",
            set={
                "vision.backbone": "resnet_small",
                "vision.objective": "regression",
                "vision.epochs": 7,
                "factorization.method.n_iterations": 3,
                "pruning.min_user_degree": 3,
                "benchmark.seed": 4,
                "benchmark.tasks.mine": str(tmp_path),
            },
        )
    )
    facts = {"dataset": "/data/dataset.toml", "recipe": "modern", "budget": "demo"}

    def held(*keys: str) -> dict[str, Any]:
        return {"configuration": {key: then.value(key) for key in keys}, **facts}

    described = {"dataset.matrix": {"weights": [1]}, "pruning": then.value("pruning")}
    publish_matrix(trained, "m1", configuration=described, **facts)
    model = trained.train(
        1,
        inputs={"pruned_matrix": "m1"},
        metadata=held("vision", "factorization.method", "benchmark.seed", "benchmark.tasks"),
    )
    # Somebody chooses otherwise since.
    since = {"vision.epochs": 1, "vision.objective.length": 0.3}
    Choices(set=since).write(trained.home.config_path)
    told = lineage_of(trained.home, "trained_cnn", model).choices
    assert (told.dataset, told.recipe, told.budget) == ("/data/dataset.toml", "modern", "demo")
    told.write(tmp_path / "config.toml")
    now = resolve(Choices.read(tmp_path / "config.toml"))
    for key in ("vision", "pruning", "factorization.method"):
        assert now.value(key) == then.value(key)
    assert (now.benchmark.seed, now.benchmark.tasks) == (4, then.benchmark.tasks)


def test_facts_of_a_project_come_from_every_table(trained: TrainedHome) -> None:
    with pytest.raises(DataError, match=r"no project '1' in .* Ids are texts"):
        facts_of_project(trained.home, "1")
    publish_matrix(trained, "m1")
    publish_factors(trained, "f1", pruned_matrix="m1")
    trained.split()
    old, new = trained.train(1), trained.train(2)
    trained.embed(old, 1.0)
    assert facts_of_project(trained.home, "1") == {
        "project_id": "1",
        "events": 0,
        "users_in_matrix": 1,
        "split": "train",
        "folded_in": False,
        "trained_on_by": sorted([old, new]),
        "embedded_by": [old],
        "served_by": "no model yet",
    }
    trained.appoint(champion=old, challenger=new)
    assert facts_of_project(trained.home, "01398047")["served_by"] == old
    with pytest.raises(DataError, match="no project '1398047'"):
        facts_of_project(trained.home, "1398047")


def test_what_was_accepted_is_told_with_what_made_the_rows(trained: TrainedHome) -> None:
    note = {"at": "2026-01-03T00:00:00+00:00", "why_due": "code changed", "code_version": "c0"}
    model = trained.train(1, metadata={"accepted": note})
    made = lineage_of(trained.home, "trained_cnn", model)
    assert made.made[0].accepted == note
    assert made.as_json()["made"][0]["accepted"] == note
    publish_matrix(trained, "m1")
    assert lineage_of(trained.home, "pruned_matrix").made[0].accepted is None
