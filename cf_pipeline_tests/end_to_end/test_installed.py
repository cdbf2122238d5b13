"""The package as a wheel installs it: no repository around it, an empty folder to work in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import cf_pipeline
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import plant

pytestmark = pytest.mark.slow

WORLD = PlantedConfig(n_users=160, n_projects=240, cover_size=32, n_task_images=0)
SMALL = (
    "baselines.imagenet.image_size=32",
    "factorization.n_factors=8",
    "vision.backbone=resnet_small",
    "vision.image_size=32",
    "vision.epochs=1",
    "benchmark.n_resamples=100",
    "tracking.mode=disabled",
)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with the package alone, as site-packages has it."""
    package = Path(cf_pipeline.__file__).parent
    shutil.copytree(
        package, tmp_path / "site" / "cf_pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "empty").mkdir()
    return tmp_path


def cf(elsewhere: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "CF_PIPELINE_HOME"}
    return subprocess.run(
        [sys.executable, "-m", "cf_pipeline", *arguments],
        cwd=elsewhere / "empty",
        env={**environment, "PYTHONPATH": str(elsewhere / "site")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_a_planted_data_set_to_the_end(elsewhere: Path) -> None:
    world = plant(elsewhere / "world", WORLD)
    chosen = [word for setting in SMALL for word in ("--set", setting)]
    said = cf(elsewhere, "run", "--dataset", str(world.dataset_file), "--budget", "demo", *chosen)
    assert said.returncode == 1
    assert "--home DIR" in said.stderr
    home = ("--home", "my_home")
    data = ("--dataset", str(world.dataset_file), "--budget", "demo")
    said = cf(elsewhere, "run", *home, *data, *chosen)
    assert said.returncode == 0, said.stderr
    assert "Image similarity, test" in said.stdout
    # The very last line is where to look next.
    page = said.stdout.splitlines()[-1]
    assert page.startswith("file://")
    assert Path(unquote(urlsplit(page).path)).stat().st_size < 10_000_000
    assert cf(elsewhere, "gallery", *home).stdout == f"{page}\n"
    # Without a labelled set of its own there is none to probe, and nothing has failed.
    states = json.loads(cf(elsewhere, "status", "--json", *home).stdout)
    assert {row["state"] for row in states} == {"fresh"}
