"""Labelled tasks and stages: what tasks leave out, their features, and what is probed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from cf_pipeline.benchmark.feature_sets import IMAGENET, IMAGENET_LEVELS
from cf_pipeline.models.extraction import (
    execution,
    extractor,
    model_extractor,
    side_by_side,
    simple_sets,
)
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.sql import equals

if TYPE_CHECKING:
    from cf_pipeline.benchmark.probing import ProbeInputs
    from cf_pipeline.benchmark.tasks import TaskRules
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
    brought = _brought(stage, images).with_columns(model_version=pl.lit(model))
    return pl.concat([*parts, brought.select(parts[0].columns)]), n_computed


_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("task", "image_id", "sha256", "feature_set", "model_version"), pl.String),
    "features": pl.List(pl.Float32),
}


def _brought(stage: Stage, images: pl.DataFrame) -> pl.DataFrame:
    """Vectors that the user brings, of tasks whose every image is a cover that has one."""
    covers = stage.frame("covers", "project_id", "sha256").drop_nulls().unique("sha256")
    vectors = stage.frame("user_embeddings", "project_id", "feature_set", "features")
    found = (
        images
        .select("task", "image_id", "sha256")
        .join(covers, on="sha256")
        .join(vectors, on="project_id")
        .with_columns(pl.col("features").cast(pl.List(pl.Float32)))
    )
    n_images = images.group_by("task").agg(n_images=pl.len())
    whole = pl.len().over("task", "feature_set") == pl.col("n_images")
    return found.join(n_images, on="task").filter(whole)


def _extractors(stage: Stage, model: str) -> dict[tuple[str, ...], Extract]:
    """Feature sets that are computed together to what computes them."""
    network = stage.configuration.baselines.imagenet
    return {
        (IMAGENET, IMAGENET_LEVELS): lambda paths: network.last_and_levels(
            paths, execution(stage), stage.progress("images, imagenet")
        ),
        **{
            (simple.name,): extractor(stage, simple, "images")
            for simple in simple_sets(stage.configuration)
        },
        OURS: model_extractor(stage, "images, ours", model),
    }


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


def task_rules(stage: Stage) -> TaskRules:
    """How labelled sets are read in this home; what its network may not have seen."""
    from cf_pipeline.benchmark.tasks import TaskRules

    configuration = stage.configuration
    covers = stage.frame("covers", "project_id", "sha256").drop_nulls()
    sides = covers.join(stage.frame("project_split", "project_id", "split"), on="project_id")
    is_held_out = pl.col("split") == "test"
    fitted = frozenset(sides.filter(~is_held_out)["sha256"])
    return TaskRules(
        configuration.benchmark.task_test_share,
        configuration.benchmark.seed,
        configuration.covers,
        configuration.resources.n_threads,
        fitted=fitted,
        held_out=frozenset(sides.filter(is_held_out)["sha256"]) - fitted,
    )


def probe_inputs(stage: Stage, model: str) -> ProbeInputs:
    """Tasks with the features that a model and its rivals give them."""
    from cf_pipeline.benchmark.feature_sets import METACLASS
    from cf_pipeline.benchmark.probe_notes import origins
    from cf_pipeline.benchmark.probing import ProbeInputs

    columns = ("task", "image_id", "feature_set", "features")
    features = stage.frame("task_embeddings", *columns, where=equals("model_version", model))
    grouped = stage.frame("metaclass_embeddings").with_columns(feature_set=pl.lit(METACLASS))
    sources = grouped.unique("task").select("task", "trained_on")
    return ProbeInputs(
        images=stage.frame("benchmark_tasks"),
        draws=stage.frame("benchmark_task_draws"),
        facts=stage.frame("benchmark_task_facts"),
        features=pl.concat([features, grouped.select(columns).cast(features.schema)]),
        stands_on=origins(stage.configuration.vision.backbone.pretrained),
        trained_on={task: tuple(of) for task, of in sources.iter_rows()},
    )
