"""`init`: one file is written, and none is written over."""

from __future__ import annotations

from pathlib import Path

from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.sources.doctor import examine
from cf_pipeline_tests.cli.conftest import Command
from cf_pipeline_tests.sources.conftest import LIMITS


def test_the_bundled_set_and_the_command(cf: Command, tmp_path: Path) -> None:
    bundled = Path(__file__).parents[2] / "data" / "openclipart"
    out = tmp_path / "mine.toml"
    said = cf("init", bundled, "--out", out)
    assert said.code == 0, said.err
    assert "who did what: interactions.parquet, 38,396 rows" in said.out
    dataset = load_dataset(out)
    assert dataset.users.owner_user == "contributor:{owner}"
    assert not [f for f in examine(dataset, LIMITS) if f.level == "error"]
    again = cf("init", bundled, "--out", out)
    assert (again.code, "is there already. Pass --force" in again.err) == (1, True)
    before = (bundled / "dataset.toml").read_text()
    assert cf("init", bundled).code == 1
    assert (bundled / "dataset.toml").read_text() == before
