"""`run`: what it prints, what it stores, what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from cf_pipeline.benchmark.pooling import POOLED_SCHEMA
from cf_pipeline.cli import running
from cf_pipeline.configuration.choices import Choices
from cf_pipeline.models.saved_board import SavedBoard
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.home import Home
from cf_pipeline_tests.cli.conftest import Command
from cf_pipeline_tests.cli.spoiling import (
    leave,
    spoil_column,
    spoil_covers,
    spoil_file,
    spoil_key,
    spoil_rows,
    spoil_toml,
)
from cf_pipeline_tests.defs.lab import Lab
from cf_pipeline_tests.models.trained_home import TrainedHome


@pytest.mark.slow
def test_a_run_says_what_changed_and_what_was_done(at_home: Lab, cf: Command) -> None:
    said = cf("run", "--select", "project_split, pruned_matrix", "--set", "split.seed=5")
    assert said.code == 0
    assert said.out.splitlines()[0] == "split.seed: 0 -> 5"
    assert said.out.splitlines()[1].startswith("1 assets computed, 1 unchanged, 0 failed in 0:0")
    # One line per asset, and nothing of Dagster's own.
    lines = {line.split()[1]: line.split(maxsplit=2)[2] for line in said.err.splitlines()}
    assert lines.keys() == {"pruned_matrix", "project_split"}
    assert lines["pruned_matrix"] == "unchanged"
    assert lines["project_split"].startswith("done in ")
    again = cf("run", "--select", "project_split")
    assert "split.seed" not in again.out
    assert Choices.read(at_home.home.config_path).set["split.seed"] == 5
    forced = cf("run", "--select", "project_split", "--force")
    assert forced.out.startswith("1 assets computed")


def test_a_run_says_what_folds_of_its_data_set_gave(
    at_home: Lab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(running, "RESULTS", tmp_path)
    monkeypatch.setattr(running.out, "quiet", False)  # as a command before may have left it
    running.print_what_folds_say(at_home.home)
    assert "cf-pipeline crossvalidate --folds 5 pools five" in capsys.readouterr().out
    rows = [
        {"feature_set": name, "measure": "ndcg_at_10", "reference": "imagenet", "value": 0.3}
        | {"difference": difference, "low": -0.01, "high": 0.05, "n_queries": 9, "n_groups": 4}
        | {"chosen": name == "chosen"}
        for name, difference in (("color", -0.2), ("chosen", 0.02))
    ]
    facts = ("cf-pipeline crossvalidate --folds 5", "abc", "2026-11-27", "2 cores", 5)
    board = SavedBoard(*facts, pl.DataFrame(rows, schema=POOLED_SCHEMA))
    board.write(tmp_path / f"{load_dataset(at_home.world / 'dataset.toml').name}.json")
    running.print_what_folds_say(at_home.home)
    said = capsys.readouterr().out.replace("\n", " ")
    assert "Over 5 folds, `cf-pipeline crossvalidate --folds 5` at abc gave" in said
    assert "chosen layers minus imagenet: ndcg_at_10 +0.020 [-0.010, +0.050]." in said
    # Another recipe is not told what the default one gave.
    path = at_home.home.config_path
    Choices.read(path).model_copy(update={"recipe": "talk2015"}).write(path)
    running.print_what_folds_say(at_home.home)
    assert "pools five" in capsys.readouterr().out


def test_the_first_choices_are_stored_with_absolute_paths(
    lab: Lab,
    cf: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_home: Callable[[Path], Home],
) -> None:
    monkeypatch.chdir(lab.world)
    home = make_home(tmp_path / "new").path
    arguments = ["--home", home, "--dataset", "dataset.toml", "--budget", "demo"]
    method = ["--set", "vision.backbone=resnet_small", "--set", "vision.backbone.weights=random"]
    task = ["--set", "benchmark.tasks.mine=pictures"]
    said = cf("run", *arguments, "--select", "raw_projects", *method, *task)
    assert said.code == 0
    choices = Choices.read(home / "config.toml")
    assert choices.dataset == str(lab.world / "dataset.toml")
    assert choices.budget == "demo"
    assert choices.set == {
        "vision.backbone": "resnet_small",
        "vision.backbone.weights": "random",
        "benchmark.tasks.mine": str(lab.world / "pictures"),
    }
    changes = {"budget: full -> demo", "vision.backbone: efficientnet_lite0 -> resnet_small"}
    assert {*changes, "vision.backbone.weights: None -> random"} <= set(said.out.splitlines())
    # Another method takes its predecessor's settings with it, and that is said.
    other = ["--set", "vision.backbone=efficientnet_lite0"]
    again = cf("run", "--home", home, "--select", "raw_projects", *other)
    assert "vision.backbone.weights: random -> None" in again.out.splitlines()


def test_a_home_is_not_taken_over_by_another_data_set(
    at_home: Lab, cf: Command, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(at_home.world, tmp_path / "other")) / "dataset.toml"
    config = at_home.home.config_path.read_bytes()
    refused = cf("run", "--dataset", other)
    assert refused.code == 1
    assert f"belongs to {at_home.world / 'dataset.toml'}, and {other} is another" in refused.err
    assert "Give it a home of its own: --home DIR." in refused.err
    assert at_home.home.config_path.read_bytes() == config
    # One that is gone from where it was has moved, and is the same one.
    shutil.rmtree(at_home.world)
    moved = cf("run", "--dataset", other, "--select", "raw_projects")
    assert moved.code == 0
    assert moved.out.startswith(f"dataset: {at_home.world / 'dataset.toml'} -> {other}")


@pytest.mark.parametrize(
    ("spoil", "arguments", "expected"),
    [
        (leave, ["--dataset", "no/dataset.toml"], ["no/dataset.toml", "Pass the path of a data"]),
        (spoil_toml, [], ["dataset.toml is not valid TOML", "shows every key"]),
        (spoil_key, [], ["dataset.toml", "unknown key `truth.min_dgree`", "mean `min_degree`?"]),
        (spoil_column, [], ["raw_interactions: ", "interactions.parquet", "user_id", "userid"]),
        (spoil_file, [], ["interactions.parquet is not what its name says", "Export it again"]),
        (spoil_rows, [], ["interactions.parquet", "no row", "Export"]),
        (spoil_covers, [], ["covers does not exist", "put it there or change covers.folder"]),
        (leave, ["--set", "pruning.min_user_degree=999"], ["nothing left", "Lower pruning.min_u"]),
        (leave, ["--set", "visoin.epochs=3"], ["'visoin.epochs'", "Did you mean vision.epochs"]),
        (
            leave,
            ["--set", "vision.objective=cosin"],
            ["no objective 'cosin'", "Did you mean 'cosine'"],
        ),
        (leave, ["--set", "vision.backbone=timm:resnet51"], ["timm has no model 'resnet51'"]),
        (leave, ["--set", "vision.backbone.weights=w.pth"], ["no weight file at", "w.pth"]),
        (leave, ["--recipe", "talk2051"], ["'talk2051' is not one of ['modern'"]),
        (leave, ["--budget", "huge"], ["'huge' is not one of ['demo', 'full']"]),
        (
            leave,
            ["--select", "matrix"],
            ["no asset 'matrix'. Did you mean 'pruned_matrix'? The assets are ", "pruned_matrix"],
        ),
    ],
)
def test_bad_input_is_named_and_what_was_there_stays(
    at_home: Lab,
    cf: Command,
    spoil: Callable[[Lab], None],
    arguments: list[str],
    expected: list[str],
) -> None:
    tables = ("raw_interactions", "raw_projects", "covers", "pruned_matrix")
    before = {table: at_home.rows(table) for table in tables}
    config = at_home.home.config_path.read_bytes()
    spoil(at_home)
    selected = (
        [] if "--select" in arguments else ["--select", "raw_interactions,covers,pruned_matrix"]
    )
    said = cf("run", *selected, *arguments)
    assert said.code == 1
    for words in expected:
        assert words in said.err
    for table, rows in before.items():
        assert at_home.rows(table).equals(rows)
    # Choices stay that a run was started with, of one that was refused none.
    is_started = "pruning.min_user_degree=999" in arguments
    assert (at_home.home.config_path.read_bytes() == config) != is_started


def test_a_file_where_the_home_should_be(
    cf: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "home"
    in_the_way.write_text("mine")
    monkeypatch.setenv("CF_PIPELINE_HOME", str(in_the_way / "below"))
    for command in (["run"], ["run", "--home", in_the_way], ["promote", "a"], ["gc"]):
        said = cf(*command)
        assert said.code == 1
        assert f"the home {in_the_way}" in said.err
        assert "name another one with --home DIR or CF_PIPELINE_HOME" in said.err
    assert in_the_way.read_text() == "mine"


@pytest.mark.slow
def test_awkward_covers_are_recorded_and_stop_nothing(
    cf: Command, awkward_covers: Path, tmp_path: Path, make_home: Callable[[Path], Home]
) -> None:
    home = make_home(tmp_path / "home")
    select = "raw_interactions,raw_projects,user_embeddings,covers"
    said = cf("run", "--home", home.path, "--dataset", awkward_covers, "--select", select)
    assert said.code == 0, said.err
    covers: pl.DataFrame = TrainedHome(home).warehouse.frame("covers")
    found = {row["project_id"]: row for row in covers.to_dicts()}
    assert len(found) == 28
    assert covers.filter(status="ok").height == 23
    for name in ("cmyk.jpg", "palette.png", "mislabelled.jpg"):
        assert found[name]["status"] == "ok"
        assert found[name]["look_group"] is not None
    assert found["mislabelled.jpg"]["format"] == "PNG"
    assert found["absent.png"]["status"] == "missing"
    reasons = {
        name: found[name]["reason"]
        for name in ("truncated.png", "empty.png", "text.png", "bomb.png")
    }
    assert {found[name]["status"] for name in reasons} == {"unreadable"}
    assert "truncated" in reasons["truncated.png"]
    assert "empty file" in reasons["empty.png"]
    assert "no decoder recognizes" in reasons["text.png"]
    assert "covers.max_pixels" in reasons["bomb.png"]
    assert "the content is PNG" in found["mislabelled.jpg"]["reason"]
    assert all(found[name]["look_group"] is None for name in reasons)
