"""A home for models."""

from __future__ import annotations

from pathlib import Path

import pytest

from cf_pipeline.storage.home import Home
from cf_pipeline_tests.models.searchable_home import SearchableHome
from cf_pipeline_tests.models.trained_home import TrainedHome


@pytest.fixture
def trained(tmp_path: Path) -> TrainedHome:
    """A home in which nothing was trained yet."""
    home = Home(tmp_path / "home")
    home.create()
    return TrainedHome(home)


@pytest.fixture(scope="module")
def searchable(tmp_path_factory: pytest.TempPathFactory) -> SearchableHome:
    """Pictures, a small network and factors, all in place; not to be changed."""
    home = Home(tmp_path_factory.mktemp("searchable") / "home")
    home.create()
    return SearchableHome(home).build()
