"""Where the current page of a home lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cf_pipeline.errors import DataError
from cf_pipeline.gallery.making import KIND, PAGE
from cf_pipeline.models.catalogue import current_model, warehouse_of
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.home import Home


@dataclass(frozen=True)
class WrittenPage:
    """The page that a home has.

    Attributes:
        file: HTML.
        model: the model version that it shows.
        is_outdated: whether another model was trained since.
    """

    file: Path
    model: str
    is_outdated: bool


def current_page(home: Home) -> WrittenPage:
    """What the newest run of `gallery` wrote.

    Raises:
        ConfigError: the home's configuration cannot be read.
        DataError: there is none yet, or its artifact is gone.
    """
    warehouse = warehouse_of(home)
    rows = warehouse.frame("gallery") if warehouse.has("gallery") else None
    if rows is None or rows.is_empty():
        raise DataError(f"no gallery in {home.path}. Run cf-pipeline run --select gallery.")
    model, artifact = str(rows["model_version"].item()), str(rows["artifact"].item())
    file = Artifacts(home.artifacts_path).find(KIND, artifact) / PAGE
    return WrittenPage(file, model, is_outdated=model != current_model(warehouse, home))
