"""Where the current page of a home lies."""

from __future__ import annotations

from pathlib import Path

from cf_pipeline.errors import DataError
from cf_pipeline.gallery.making import KIND, PAGE
from cf_pipeline.models.catalogue import warehouse_of
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.home import Home


def current_page(home: Home) -> Path:
    """The HTML file that the newest run of `gallery` wrote.

    Raises:
        ConfigError: the home's configuration cannot be read.
        DataError: there is none yet, or its artifact is gone.
    """
    warehouse = warehouse_of(home)
    row = warehouse.frame("gallery", ("artifact",)) if warehouse.has("gallery") else None
    if row is None or row.is_empty():
        raise DataError(f"no gallery in {home.path}. Run cf-pipeline run --select gallery.")
    return Artifacts(home.artifacts_path).find(KIND, str(row["artifact"].item())) / PAGE
