"""Labelled tasks and stages: what tasks leave out, their features, and what is probed."""

from __future__ import annotations

from collections.abc import Mapping
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


_COLUMNS = ("task", "image_id", "feature_set", "sha256", "features")


def task_features(stage: Stage, model: str) -> tuple[pl.DataFrame, int]:
    """Rows of task_embeddings by one model, and how many images were computed."""
    extractors: dict[tuple[str, ...], Extract] = {
        OURS: lambda paths: model_extractor(stage, "images, ours", model)(paths)
    }
    table, n_computed = _embedded(stage, extractors, where=equals("model_version", model))
    return table.with_columns(model_version=pl.lit(model)), n_computed


def task_baselines(stage: Stage) -> tuple[pl.DataFrame, int]:
    """Rows of task_baseline_embeddings, and how many images were computed."""
    network = stage.configuration.baselines.imagenet
    extractors: dict[tuple[str, ...], Extract] = {
        (simple.name,): extractor(stage, simple, "images")
        for simple in simple_sets(stage.configuration)
    }
    extractors[IMAGENET, IMAGENET_LEVELS] = lambda paths: network.last_and_levels(
        paths, execution(stage), stage.progress("images, imagenet")
    )
    table, n_computed = _embedded(stage, extractors)
    return pl.concat([table, _brought(stage)]), n_computed


def _embedded(
    stage: Stage, extractors: Mapping[tuple[str, ...], Extract], where: str | None = None
) -> tuple[pl.DataFrame, int]:
    """Every labelled image by feature sets that are computed together; what is known is kept."""
    from cf_pipeline.vision.embedding import embed_changed

    images = stage.frame("benchmark_tasks", "task", "image_id", "sha256", "path")
    parts, n_computed = [pl.DataFrame(schema=_SCHEMA)], 0
    for names, extract in extractors.items() if images.height else ():
        rows = stage.previous_rows("sha256", "feature_set", "features", where=where)
        known = None if rows is None else side_by_side(rows, names)
        table, n = embed_changed(images, known, names, extract)
        n_computed += n
        features = (pl.col(name).cast(pl.List(pl.Float32)).alias("features") for name in names)
        parts += [
            table.with_columns(vectors, feature_set=pl.lit(name)).select(_COLUMNS)
            for name, vectors in zip(names, features, strict=True)
        ]
    return pl.concat(parts), n_computed


_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(_COLUMNS[:-1], pl.String),
    "features": pl.List(pl.Float32),
}


def _brought(stage: Stage) -> pl.DataFrame:
    """Vectors that the user brings, of tasks whose every image is a cover that has one."""
    images = stage.frame("benchmark_tasks", "task", "image_id", "sha256")
    covers = stage.frame("covers", "project_id", "sha256").drop_nulls().unique("sha256")
    vectors = stage.frame("user_embeddings", "project_id", "feature_set", "features")
    found = images.join(covers, on="sha256").join(vectors, on="project_id")
    n_images = images.group_by("task").agg(n_images=pl.len())
    whole = pl.len().over("task", "feature_set") == pl.col("n_images")
    of_tasks = found.join(n_images, on="task").filter(whole)
    return of_tasks.with_columns(pl.col("features").cast(pl.List(pl.Float32))).select(_COLUMNS)


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
    ours = stage.frame("task_embeddings", *columns, where=equals("model_version", model))
    others = stage.frame("task_baseline_embeddings", *columns)
    grouped = stage.frame("metaclass_embeddings").with_columns(feature_set=pl.lit(METACLASS))
    sources = grouped.unique("task").select("task", "trained_on")
    return ProbeInputs(
        images=stage.frame("benchmark_tasks"),
        draws=stage.frame("benchmark_task_draws"),
        facts=stage.frame("benchmark_task_facts"),
        features=pl.concat([ours, others, grouped.select(columns)], how="vertical_relaxed"),
        stands_on=origins(stage.configuration.vision.backbone.pretrained),
        trained_on={task: tuple(of) for task, of in sources.iter_rows()},
    )
