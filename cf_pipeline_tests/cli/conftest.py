"""`cf-pipeline` as a person calls it, and homes for it to work on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cf_pipeline.cli import app as cli
from cf_pipeline.storage.home import HOME_VARIABLE, Home
from cf_pipeline_tests.cli.spoiling import awkward_data_set
from cf_pipeline_tests.defs.lab import Lab
from cf_pipeline_tests.models.trained_home import TrainedHome


@dataclass(frozen=True)
class Said:
    """Exit code, standard output, standard error."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def cf(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`cf-pipeline` with arguments, in this process."""

    def call(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["cf-pipeline", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as exited:
            cli.main()
        said = capfd.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(int(exited.value.code or 0), said.out, said.err)

    return call


@pytest.fixture
def at_home(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The lab's home is the one that the environment names."""
    monkeypatch.setenv(HOME_VARIABLE, str(lab.home.path))
    return lab


@pytest.fixture
def trained(
    tmp_path: Path, make_home: Callable[[Path], Home], monkeypatch: pytest.MonkeyPatch
) -> TrainedHome:
    """An empty home, which the environment names."""
    home = make_home(tmp_path / "home")
    monkeypatch.setenv(HOME_VARIABLE, str(home.path))
    return TrainedHome(home)


@pytest.fixture
def awkward_covers(tmp_path: Path) -> Path:
    """A data set of good covers, and of every kind that is not."""
    return awkward_data_set(tmp_path / "data")
