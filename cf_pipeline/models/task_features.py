"""Every feature set of every labelled image, for `task_embeddings`: what is known is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from cf_pipeline.models.extraction import extractor, model_extractor, side_by_side, simple_sets
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.sql import equals

if TYPE_CHECKING:
    from cf_pipeline.vision.embedding import Extract

OURS = ("collaborative", "predicted_factors")


def task_features(stage: Stage, model: str) -> tuple[pl.DataFrame, int]:
    """Rows of task_embeddings for every feature set, and how many images were computed."""
    from cf_pipeline.vision.embedding import embed_changed

    images = stage.frame("benchmark_tasks", "task", "image_id", "sha256", "path")
    if images.is_empty():
        return pl.DataFrame(schema=_SCHEMA), 0
    parts, n_computed = [], 0
    for names, extract in _extractors(stage, model).items():
        table, n = embed_changed(images, _known(stage, names, model), names, extract)
        n_computed += n
        parts += [
            table.select(
                "task",
                "image_id",
                "sha256",
                feature_set=pl.lit(name),
                model_version=pl.lit(model),
                features=pl.col(name).cast(pl.List(pl.Float32)),
            )
            for name in names
        ]
    return pl.concat(parts), n_computed


_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("task", "image_id", "sha256", "feature_set", "model_version"), pl.String),
    "features": pl.List(pl.Float32),
}


def _extractors(stage: Stage, model: str) -> dict[tuple[str, ...], Extract]:
    """Feature sets that are computed together to what computes them."""
    references = [stage.configuration.baselines.imagenet, *simple_sets(stage.configuration)]
    extractors: dict[tuple[str, ...], Extract] = {
        (reference.name,): extractor(stage, reference, "images") for reference in references
    }
    extractors[OURS] = model_extractor(stage, "images, ours", model)
    return extractors


def _known(stage: Stage, names: tuple[str, ...], model: str) -> pl.DataFrame | None:
    """Vectors of feature sets that are there already: of this model, or of no model at all."""
    rows = stage.previous_rows(
        "sha256",
        "feature_set",
        "features",
        where=equals("model_version", model) if names == OURS else None,
    )
    if rows is None:
        return None
    return side_by_side(rows, names)
