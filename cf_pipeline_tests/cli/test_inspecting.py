"""`status`, `config`, `doctor` and `export`: what a person asks, which changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

from cf_pipeline_tests.cli.conftest import Command
from cf_pipeline_tests.cli.spoiling import spoil_column, spoil_file, spoil_key
from cf_pipeline_tests.defs.lab import Lab


def test_status_shows_states_and_reasons_and_fails_where_an_asset_did(
    at_home: Lab, cf: Command
) -> None:
    at_home.choose(split__seed=3)
    said = cf("status")
    assert said.code == 0
    rows = {line.split()[0]: line for line in said.out.splitlines()}
    assert "fresh" in rows["covers"]
    assert "stale" in rows["project_split"]
    assert rows["project_split"].rstrip().endswith("configuration changed: split")
    assert rows["trained_cnn"].split()[1:] == ["missing", "never", "materialized"]
    spoil_file(at_home)
    assert cf("run", "--select", "raw_interactions").code == 1
    failed = cf("status", "--json")
    assert failed.code == 1
    told = {row.pop("asset"): row for row in json.loads(failed.out)}
    assert told["covers"] == {"state": "fresh", "why": ""}
    assert told["project_split"] == {"state": "stale", "why": "configuration changed: split"}
    assert told["trained_cnn"] == {"state": "missing", "why": "never materialized"}
    assert told["raw_interactions"]["state"] == "failed"
    assert "is not what its name says" in told["raw_interactions"]["why"]


def test_asking_makes_no_home(cf: Command, tmp_path: Path) -> None:
    nowhere = tmp_path / "mistyped"
    asked = cf("status", "--json", "--home", nowhere)
    assert asked.code == 0
    assert {row["state"] for row in json.loads(asked.out)} == {"missing"}
    for command in (["config"], ["models"]):
        assert cf(*command, "--home", nowhere).code == 0
    for command in (["lineage", "1"], ["export", "embeddings", tmp_path / "x.parquet"]):
        assert cf(*command, "--home", nowhere).code == 1
    assert list(tmp_path.iterdir()) == []


def test_config_shows_and_takes_back(at_home: Lab, cf: Command) -> None:
    at_home.choose(split__seed=3)
    shown = cf("config", "--show")
    assert shown.code == 0
    assert f"dataset = {at_home.world / 'dataset.toml'}" in shown.out
    row = next(line for line in shown.out.splitlines() if line.startswith("split.seed"))
    assert row.split()[:3] == ["split.seed", "3", "chosen"]
    assert "another split" in row
    assert cf("config").out == shown.out
    taken = cf("config", "--unset", "split.seed")
    assert (taken.code, taken.out.strip()) == (0, "split.seed: 3 -> 0")
    again = cf("config", "--unset", "split.seed")
    assert again.code == 1
    assert "split.seed was not chosen; choices made: " in again.err


def test_config_makes_choices_that_hold(at_home: Lab, cf: Command) -> None:
    said = cf("config", "split.seed=3", "budget=demo")
    assert said.code == 0
    assert said.out.splitlines()[:2] == ["budget: full -> demo", "split.seed: 0 -> 3"]
    before = at_home.home.config_path.read_bytes()
    for wrong, expected in (
        ("split.sed=3", "Did you mean split.seed"),
        ("budget=dmo", "Did you mean 'demo'?"),
        ("vision.backbone=timm:resnet51", "timm has no model"),
        ("split.seed", "expected key=value"),
    ):
        refused = cf("config", wrong)
        assert refused.code == 1
        assert expected in refused.err
    assert at_home.home.config_path.read_bytes() == before


def test_a_stored_key_that_is_not_known_any_more_can_be_taken_back(
    at_home: Lab, cf: Command
) -> None:
    with at_home.home.config_path.open("a") as file:
        file.write("\n[split.old]\nname = 3\n")
    refused = cf("config")
    assert refused.code == 1
    assert "unknown configuration key 'split.old.name'" in refused.err
    assert cf("config", "--unset", "split.old.name").code == 0
    assert cf("config").code == 0


def test_doctor_looks_before_anything_is_computed(at_home: Lab, cf: Command) -> None:
    well = cf("doctor")
    assert well.code == 0
    assert "covers: 80 of 80 covers looked for are there" in well.out
    assert "error" not in well.out
    spoil_column(at_home)
    ill = cf("doctor")
    assert ill.code == 1
    assert "error  interactions: " in ill.out
    assert "userid" in ill.out
    spoil_key(at_home)
    worse = cf("doctor", "--dataset", at_home.world / "dataset.toml")
    assert worse.code == 1
    assert "unknown key `truth.min_dgree`" in worse.err


def test_export_says_what_is_missing(at_home: Lab, cf: Command, tmp_path: Path) -> None:
    said = cf("export", "embeddings", tmp_path / "x.parquet")
    assert said.code == 1
    assert f"no trained model in {at_home.home.path}. Run cf-pipeline run first." in said.err
    other = cf("export", "factors", tmp_path / "x.parquet")
    assert other.code == 1
    assert "export knows embeddings and model, got 'factors'" in other.err
    folder = cf("export", "model", tmp_path / "out")
    assert folder.code == 1
    assert "no trained model in" in folder.err
