"""Vectors of covers by a model or by a feature set, computed for what changed alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from cf_pipeline.configuration.choices import Configuration
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.sql import equals
from cf_pipeline.vectors import Matrix, indexed

if TYPE_CHECKING:
    from cf_pipeline.baselines.feature_set import FeatureSet
    from cf_pipeline.vision.devices import Execution
    from cf_pipeline.vision.embedding import Extract


def execution(stage: Stage) -> Execution:
    """Device, threads and batch that the configuration grants."""
    from cf_pipeline.vision.devices import Execution

    resources = stage.configuration.resources
    return Execution.of(
        resources.device,
        resources.n_threads,
        stage.scratch,
        batch_size=resources.embedding_batch,
    )


def simple_sets(configuration: Configuration) -> list[FeatureSet]:
    """An untrained network of the shape and input of the trained one, colour, sets from outside."""
    baselines, vision = configuration.baselines, configuration.vision
    return [baselines.random.shaped_as(vision), baselines.color, *baselines.extra]


def embedded_by(stage: Stage, feature_set: FeatureSet) -> tuple[pl.DataFrame, int]:
    """`project_id, sha256, features, feature_set` of every readable cover, and how many are new."""
    from cf_pipeline.vision.embedding import embed_changed

    name = feature_set.name
    known = stage.previous_rows("sha256", "features", where=equals("feature_set", name))
    table, n_computed = embed_changed(
        _readable_covers(stage), known, ("features",), extractor(stage, feature_set, "covers")
    )
    return table.with_columns(feature_set=pl.lit(name)), n_computed


def embedded_by_imagenet(stage: Stage) -> tuple[pl.DataFrame, int]:
    """The same rows by the labelled network, of its last layer and of all its levels."""
    from cf_pipeline.benchmark.feature_sets import IMAGENET, IMAGENET_LEVELS
    from cf_pipeline.vision.embedding import embed_changed

    names, network = (IMAGENET, IMAGENET_LEVELS), stage.configuration.baselines.imagenet
    rows = stage.previous_rows("sha256", "feature_set", "features")
    table, n_computed = embed_changed(
        _readable_covers(stage),
        None if rows is None else side_by_side(rows, names),
        names,
        lambda paths: network.last_and_levels(
            paths, execution(stage), stage.progress("covers, imagenet")
        ),
    )
    as_lists = [
        table.select(
            "project_id",
            "sha256",
            features=pl.col(name).cast(pl.List(pl.Float32)),
            feature_set=pl.lit(name),
        )
        for name in names
    ]
    return pl.concat(as_lists), n_computed


def side_by_side(rows: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame | None:
    """Known vectors of feature sets that are computed together, a column each; None: none is.

    Args:
        rows: `sha256, feature_set, features`.
        names: of the feature sets.
    """
    known: pl.DataFrame | None = None
    for name in names:
        of_set = (
            rows
            .filter(feature_set=name)
            .unique("sha256")
            .select("sha256", pl.col("features").alias(name))
        )
        known = of_set if known is None else known.join(of_set, on="sha256")
    return known if known is not None and known.height else None


def embedded(stage: Stage, model: str) -> tuple[pl.DataFrame, int]:
    """Rows of `embeddings` by one model for every readable cover, and how many were computed."""
    from cf_pipeline.vision.embedding import embed_changed

    columns = ("features", "predicted_factors")
    known = stage.previous_rows("sha256", *columns, where=equals("model_version", model))
    what = f"covers, model {model}"
    covers = _readable_covers(stage)
    if stage.has_covers:
        extract = model_extractor(stage, what, model)
    else:
        covers = covers.with_columns(path="project_id")  # what a vector is found by
        extract = vector_extractor(stage, model)
    table, n_computed = embed_changed(covers, known, columns, extract)
    return table.with_columns(model_version=pl.lit(model)), n_computed


def extractor(stage: Stage, feature_set: FeatureSet, what: str) -> Extract:
    """A feature set that does not depend on the model, with progress."""

    def extract(paths: Sequence[Path]) -> tuple[Matrix, ...]:
        progress = stage.progress(f"{what}, {feature_set.name}")
        return (feature_set.extract(paths, execution(stage), progress),)

    return extract


def model_extractor(stage: Stage, what: str, model: str) -> Extract:
    """Features and predicted factors by a model."""
    from cf_pipeline.vision.checkpoint import checkpoint_input, load_checkpoint
    from cf_pipeline.vision.embedding import embed_covers

    folder = stage.artifacts.find("checkpoint", model)
    network, manifest = load_checkpoint(folder)

    def extract(paths: Sequence[Path]) -> tuple[Matrix, ...]:
        return embed_covers(
            network, checkpoint_input(manifest), paths, execution(stage), stage.progress(what)
        )

    return extract


def vector_extractor(stage: Stage, model: str) -> Extract:
    """What a head on vectors makes of those of projects, whose ids stand where paths would."""
    from cf_pipeline.vision.checkpoint import load_checkpoint
    from cf_pipeline.vision.linear import embed_vectors

    network, _ = load_checkpoint(stage.artifacts.find("checkpoint", model))
    vectors = indexed(stage.own_vectors("features"), "project_id", "features")

    def extract(paths: Sequence[Path]) -> tuple[Matrix, ...]:
        return embed_vectors(network, vectors.rows([str(path) for path in paths]))

    return extract


def _readable_covers(stage: Stage) -> pl.DataFrame:
    return stage.frame("covers", "project_id", "sha256", "path", where="status = 'ok'")
