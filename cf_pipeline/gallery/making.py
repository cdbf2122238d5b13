"""From tables to a page: read, pictured, written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cf_pipeline.gallery.page import page_of
from cf_pipeline.gallery.pictures import atlas, thumbnails
from cf_pipeline.gallery.reading import read_gallery
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.storage.artifacts import Artifact

KIND = "gallery"
PAGE = "index.html"
MAP_SCHEMA = {"project_id": pl.String, "x": pl.Float32, "y": pl.Float32}


@dataclass(frozen=True)
class MadeGallery:
    """A gallery that is published.

    Attributes:
        artifact: holds the page.
        row: of the table `gallery`.
        places: rows of MAP_SCHEMA, where every cover lies on its map.
        facts: what else is told of it.
    """

    artifact: Artifact
    row: pl.DataFrame
    places: pl.DataFrame
    facts: dict[str, int]

    @property
    def page(self) -> Path:
        """The HTML file."""
        return self.artifact.path / PAGE


def make_gallery(stage: Stage, model: str) -> MadeGallery:
    """Write the page of a model and publish it.

    Args:
        stage: declares to read what `read_gallery` does.
        model: a model version.

    Raises:
        DataError: a cover is gone, something has no vector, or the page is too large.
    """
    gallery = read_gallery(stage, model)
    labels, threads = gallery.labels, stage.configuration.resources.n_threads
    thumbs = thumbnails({id_: labels[id_].path for id_ in gallery.pictured()}, threads)
    mapped = gallery.map.project_ids
    tiles = atlas([labels[id_].path for id_ in mapped], threads, stage.progress("covers"))
    page = page_of(gallery, thumbs, tiles)
    with stage.artifacts.draft() as folder:
        (folder / PAGE).write_bytes(page)
        artifact = stage.artifacts.publish(folder, KIND)
    row = {
        "model_version": model,
        "artifact": artifact.version,
        "n_covers": len(mapped),
        "n_bytes": len(page),
    }
    places = pl.DataFrame(
        {"project_id": mapped, "x": gallery.map.places[:, 0], "y": gallery.map.places[:, 1]},
        schema=MAP_SCHEMA,
    )
    facts = {
        "bytes": len(page),
        "thumbnails": len(thumbs),
        "tile_side": tiles.side,
    }
    return MadeGallery(artifact, pl.DataFrame([row]), places, facts)
