"""One small page, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cf_pipeline.gallery.content import Gallery
from cf_pipeline.gallery.page import page_of
from cf_pipeline_tests.gallery.world import draw_covers, pictured, small_gallery


@pytest.fixture(scope="session")
def content(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return small_gallery(draw_covers(tmp_path_factory.mktemp("gallery") / "covers"))


@pytest.fixture(scope="session")
def page_file(content: Gallery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_bytes(page_of(content, *pictured(content)))
    return path
