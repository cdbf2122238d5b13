"""`crossvalidate`, with runs of folds that only write what they would have computed."""

from __future__ import annotations

import json
import runpy
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cf_pipeline.benchmark.pooling import POOLED_SCHEMA
from cf_pipeline.configuration.choices import Choices
from cf_pipeline.errors import DataError
from cf_pipeline.models import crossvalidation
from cf_pipeline.storage.home import Home
from cf_pipeline_tests.cli.conftest import Command
from cf_pipeline_tests.models.fold_homes import ran_fold
from cf_pipeline_tests.models.trained_home import TrainedHome

SCOREBOARD = Path(__file__).parents[2] / "benchmarks" / "scoreboard.py"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Assets of every run that was started."""
    started: list[list[str]] = []

    def run(home: Home, assets: Sequence[str]) -> None:
        started.append(list(assets))
        if home.path.name != "common":
            ran_fold(home)

    monkeypatch.setattr(crossvalidation, "_run", run)
    return started


@pytest.mark.slow
def test_the_pooled_scoreboard_is_printed_saved_and_told_to_scripts(
    trained: TrainedHome,
    cf: Command,
    runs: list[list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "results" / "mine.json"
    asked = ["--folds", "3", "--budget", "demo", "--set", "benchmark.n_resamples=100"]
    said = cf("crossvalidate", *asked, "--save", file)
    assert said.code == 0, said.err
    common, *folds = runs
    assert {"raw_interactions", "covers", "imagenet_embeddings"} <= set(common)
    assert folds == [folds[0]] * 3
    assert {"project_split", "trained_cnn", "ridge_embeddings", "similarity_scores"} <= {*folds[0]}
    assert not {"promoted_model", "benchmark_scores"} & {*common, *folds[0]}
    lines = [line.split() for line in said.out.splitlines() if line]
    title = "triplet_accuracy, 12 queries of 6 groups, 3 folds"
    assert " ".join(lines[0]) == title
    references = ["imagenet", "imagenet_ridge", "imagenet_levels_ridge"]
    assert " ".join(lines[1]) == " ".join([
        "feature set value",
        *(f"minus {r}" for r in references),
    ])
    rows = {line[0]: line[1:] for line in lines[2:]}
    assert rows["chosen"][:2] == ["0.700", "+0.200"]
    saved = json.loads(file.read_text())
    assert saved.keys() == {"command", "commit", "date", "hardware", "folds", "rows"}
    assert saved["command"] == " ".join(["cf-pipeline crossvalidate", *asked, f"--save {file}"])
    assert saved["date"] == datetime.now(UTC).date().isoformat()
    assert " cores, " in saved["hardware"]
    assert saved["folds"] == 3
    assert saved["rows"][0].keys() == POOLED_SCHEMA.keys()
    # What was asked holds for the folds, not for the home.
    assert not trained.home.config_path.exists()
    fold = Choices.read(trained.home.path / "folds" / "2" / "config.toml")
    assert (fold.budget, fold.set["split.fold"], fold.set["split.folds"]) == ("demo", 2, 3)
    told = cf("crossvalidate", *asked, "--json")
    assert json.loads(told.out) == saved["rows"]
    # The README's tables are made of what was saved, and of nothing else.
    monkeypatch.syspath_prepend(SCOREBOARD.parent)  # as where a script is run
    scoreboard = runpy.run_path(str(SCOREBOARD))
    blocks = scoreboard["blocks_of"](file, 0)
    assert blocks[0].startswith(f"**`{saved['command']}`**, commit {saved['commit']}, ")
    assert saved["date"] in blocks[0]
    assert saved["hardware"] in blocks[0]
    table = blocks[0].splitlines()
    assert table[2] == title
    assert (
        table[4]
        == " | ".join(["| feature set", "value", *(f"minus {r}" for r in references)]) + " |"
    )
    assert table[-1].startswith("| chosen | 0.700 | +0.200 [")
    file.write_text(json.dumps({"rows": []}))
    with pytest.raises(DataError, match=r"mine.json lacks command.*crossvalidate --save FILE"):
        scoreboard["blocks_of"](file, 0)


def test_a_mistake_is_told_before_anything_is_computed(
    trained: TrainedHome, cf: Command, runs: list[list[str]]
) -> None:
    assert cf("crossvalidate", "--folds", "2").code == 2
    for arguments, words in (
        (["--set", "visoin.epochs=3"], "Did you mean vision.epochs"),
        (["--set", "vision.objective=cosin"], "there is no objective 'cosin'"),
        (["--budget", "huge"], "budget 'huge' is not one of"),
    ):
        said = cf("crossvalidate", *arguments)
        assert said.code == 1
        assert words in said.err
    assert runs == []
    assert not (trained.home.path / "folds").exists()
