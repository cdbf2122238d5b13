"""Fixtures shared by every room's tests."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cf_pipeline.storage.home import Home
    from cf_pipeline_tests.defs.lab import Lab


def pytest_configure() -> None:
    """Keep what DuckDB's bindings say of the interpreter's own end behind pytest's closing line."""
    atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))


@pytest.fixture(autouse=True)
def _our_loggers_speak() -> None:
    """Whatever configured logging in an earlier test: Dagster's own set-up may silence loggers."""
    logging.disable(logging.NOTSET)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.split(".")[0] == "cf_pipeline" and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def make_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Home]:
    """Empty homes; Dagster takes a second to lay out its databases, so they are copied."""
    from cf_pipeline.defs.running import instance_of
    from cf_pipeline.storage.home import Home

    laid_out = Home(tmp_path_factory.mktemp("empty") / "home")
    laid_out.create()
    with instance_of(laid_out):
        pass

    def make(path: Path) -> Home:
        return Home(shutil.copytree(laid_out.path, path))

    return make


@pytest.fixture(scope="session")
def planted_lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """One small world and a home in which the group `interactions` is computed."""
    from cf_pipeline_tests.defs.lab import plant_lab  # Dagster, for those who use it

    return plant_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def lab(planted_lab: Lab) -> Lab:
    """The lab as it was planted, for a test to change."""
    from cf_pipeline_tests.defs.lab import restore

    return restore(planted_lab)
