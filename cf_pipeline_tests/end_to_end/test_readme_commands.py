"""Every line that the README tells its reader to type, typed: from a clone and from a wheel.

The bundled drawings are thinned to every fifth project and the network is small, so that it takes
minutes; the lines are as they stand. `make test` is what CI runs, and `ui` has tests of its own
(test_served.py).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import polars as pl
import pytest

import cf_pipeline
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import plant
from cf_pipeline_tests.readme import REPOSITORY, blocks, commands, section

pytestmark = pytest.mark.slow

SMALL = (
    "baselines.imagenet.image_size=32",
    "factorization.n_factors=8",
    "vision.backbone=resnet_small",
    "vision.image_size=32",
    "vision.epochs=1",
    "benchmark.n_resamples=100",
    "tracking.mode=disabled",
)
ASKED = "oca-bca10723b2"
WORLD = PlantedConfig(n_users=400, n_projects=600, cover_size=32, n_task_images=0)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package alone, as site-packages has it."""
    site = tmp_path_factory.mktemp("site")
    package = Path(cf_pipeline.__file__).parent
    shutil.copytree(package, site / "cf_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    return site


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """A folder as a clone's looks to its reader, after the demo, with data of their own."""
    folder = tmp_path_factory.mktemp("reader")
    thinned(folder / "data" / "openclipart")
    (folder / "data" / "noto_emoji").symlink_to(REPOSITORY / "data" / "noto_emoji")
    (folder / "poster.jpg").symlink_to(REPOSITORY / "docs" / "retrieval.png")
    plant(folder / "mine", WORLD)
    (folder / "mine" / "dataset.toml").unlink()  # which `init` writes
    # By the wheel, which has no labelled sets to probe: the repository's take a minute.
    demo = ("run", "--budget", "demo", "--dataset", "data/openclipart/dataset.toml")
    chosen = [word for setting in SMALL for word in ("--set", setting)]
    typed(folder, "cf-pipeline", *demo, *chosen, source=wheel)
    return folder


def thinned(place: Path) -> None:
    """Every fifth project of the bundled drawings, the one that the README asks for among them."""
    bundled = REPOSITORY / "data" / "openclipart"
    place.mkdir(parents=True)
    shutil.copy(bundled / "dataset.toml", place)
    (place / "covers").symlink_to(bundled / "covers")
    projects = pl.read_parquet(bundled / "projects.parquet").sort("project_id")
    start = projects["project_id"].to_list().index(ASKED) % 5
    some = projects.gather_every(5, start)
    events = pl.read_parquet(bundled / "interactions.parquet")
    some.write_parquet(place / "projects.parquet")
    kept = events.join(some.select("project_id"), on="project_id", how="semi")
    kept.write_parquet(place / "interactions.parquet")


def typed(folder: Path, *words: str, source: Path) -> str:
    """What a command says that ends well, with the folder's home as the default.

    Args:
        folder: where it is typed.
        words: of the line; `cf-pipeline` and `python` are those of this interpreter.
        source: the folder that the package is imported from.
    """
    home = {"CF_PIPELINE_HOME": str(folder / "data" / "home")}
    done = started(folder, words, source, home)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def started(
    folder: Path, words: Sequence[str], source: Path, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """A line that was typed, to its end, however it ends."""
    begins = {"cf-pipeline": [sys.executable, "-m", "cf_pipeline"], "python": [sys.executable]}
    inherited = {name: value for name, value in os.environ.items() if name != "CF_PIPELINE_HOME"}
    return subprocess.run(
        [*begins[words[0]], *words[1:]],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(source), "BROWSER": "true", **variables},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.fixture(params=["clone", "wheel"])
def source(request: pytest.FixtureRequest, wheel: Path) -> Path:
    """Where the package lies: in the repository, or alone."""
    return REPOSITORY if request.param == "clone" else wheel


def test_what_one_does_with_it(folder: Path, source: Path) -> None:
    lines = [line for line in commands(section("What one does with it")) if " ui" not in line]
    assert len(lines) >= 10
    for name in ("emoji.parquet", "embeddings.parquet", "my_model"):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    said = {line: typed(folder, *shlex.split(line), source=source) for line in lines}
    assert [line for line in lines if not said[line].strip()] == []
    assert pl.read_parquet(folder / "emoji.parquet").height > 1000
    assert pl.read_parquet(folder / "embeddings.parquet").height > 1000
    assert (folder / "my_model" / "README.md").is_file()


def test_the_library(folder: Path, source: Path) -> None:
    [program] = blocks(section("What one does with it"), "python")
    shown = program + "print(model.recommend('board:theme').columns)\n"
    assert "project_id" in typed(folder, "python", "-c", shown, source=source)


def test_data_of_ones_own(folder: Path, wheel: Path) -> None:
    typed(folder, "cf-pipeline", "config", "--home", "mine/home", *SMALL, source=wheel)
    lines = commands(section("Your own data"))
    assert len(lines) >= 5
    for line in lines:
        said = typed(folder, *shlex.split(line), source=wheel)
        if line.startswith("cf-pipeline run"):
            page = said.splitlines()[-1]
            assert page.startswith("file://")
            assert Path(unquote(urlsplit(page).path)).stat().st_size < 10_000_000
        if "vision.epochs" in line:
            again = ("--home", "mine/home", "vision.epochs=1")
            typed(folder, "cf-pipeline", "config", *again, source=wheel)


def test_nothing_failed_where_there_is_no_labelled_set(folder: Path, wheel: Path) -> None:
    states = json.loads(typed(folder, "cf-pipeline", "status", "--json", source=wheel))
    assert {row["state"] for row in states} == {"fresh"}


def test_without_a_repository_around_it_a_home_must_be_named(folder: Path, wheel: Path) -> None:
    said = started(folder, ("cf-pipeline", "run", "--budget", "demo"), wheel, {})
    assert said.returncode == 1
    assert "--home DIR" in said.stderr
