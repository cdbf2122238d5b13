"""Extractors handed to `embed_changed`: which network, with which progress."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from cf_pipeline.defs.stage import Stage
from cf_pipeline.vectors import FeatureExtractor, Matrix

if TYPE_CHECKING:
    from cf_pipeline.vision.devices import Execution
    from cf_pipeline.vision.embedding import Extract


def readable_covers(stage: Stage) -> pl.DataFrame:
    """`project_id, sha256, path` of every readable cover."""
    return stage.frame("covers", "project_id", "sha256", "path", where="status = 'ok'")


def execution(stage: Stage) -> "Execution":
    """Device, threads and batch that the configuration grants."""
    from cf_pipeline.vision.devices import Execution

    resources = stage.configuration.resources
    return Execution.of(
        resources.device,
        resources.n_threads,
        stage.scratch,
        batch_size=resources.embedding_batch,
    )


def reference_extractor(stage: Stage, extractor: FeatureExtractor, what: str) -> "Extract":
    """One feature set that does not depend on the model, with progress."""

    def extract(paths: Sequence[Path]) -> tuple[Matrix, ...]:
        return (extractor.extract(paths, stage.progress(f"{what}, {extractor.name}")),)

    return extract


def embedded(stage: Stage, model: str) -> tuple[pl.DataFrame, int]:
    """Rows of `embeddings` by one model for every readable cover, and how many were computed."""
    from cf_pipeline.vision.embedding import embed_changed

    columns = ("features", "predicted_factors")
    known = stage.previous_rows("sha256", *columns, where=f"model_version = '{model}'")
    what = f"covers, model {model}"
    table, n_computed = embed_changed(
        readable_covers(stage), known, columns, model_extractor(stage, what, model)
    )
    return table.with_columns(model_version=pl.lit(model)), n_computed


def model_extractor(stage: Stage, what: str, model: str) -> "Extract":
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
