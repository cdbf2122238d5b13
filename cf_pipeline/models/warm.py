"""Warm starts: where a scheduled retraining goes on from, and what a chain of models has seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cf_pipeline.recompute.stage import Stage
from cf_pipeline.recompute.staleness import STARTED_FROM
from cf_pipeline.sql import equals
from cf_pipeline.storage.history import version_record
from cf_pipeline.storage.warehouse import Warehouse


@dataclass(frozen=True)
class Start:
    """A checkpoint to go on from."""

    folder: Path
    version: str


def warm_checkpoint(stage: Stage) -> Start | None:
    """The last checkpoint, on a warm run whose factors still have its axes; else None.

    Factors that were fitted anew have axes of their own, and a network that maps covers to the old
    ones would start from answers to another question.
    """
    if not stage.run.warm or stage.previous is None:
        return None
    model = stage.previous.data_version
    if not has_axes_of(stage.warehouse, model):
        stage.log.warning(
            f"starts cold: latent_factors were fitted anew since {model} was trained, so their "
            "axes are others."
        )
        return None
    return Start(stage.artifacts.find("checkpoint", model), model)


def trained_on(stage: Stage, started_from: str | None) -> pl.DataFrame:
    """`project_id, split` of all that a model has seen, and of what those saw that it continues.

    A project that one of them was fitted to counts as train, whichever half it is in now.
    """
    seen = stage.frame("training_set", "project_id", "split")
    if started_from is None:
        return seen
    of_start = equals("model_version", started_from)
    earlier = stage.frame("trained_on", "project_id", "split", where=of_start)
    # `train` sorts before `validation`; null, of an older release, stands for having been seen.
    return (
        pl
        .concat([earlier, seen])
        .group_by("project_id")
        .agg(pl.col("split").min())
        .sort("project_id")
    )


def has_axes_of(warehouse: Warehouse, model: str) -> bool:
    """Whether today's factors are those that the model was trained on, or continue them."""
    trained = version_record(warehouse, "trained_cnn", model)
    learned = trained and version_record(
        warehouse, "training_set", trained.inputs["training_set"], as_of=trained.computed_at
    )
    today = warehouse.record("latent_factors")
    if learned is None or today is None:
        return False
    wanted, chain = learned.inputs["latent_factors"], set[str]()
    version: str | None = today.data_version
    # Factors that had converged may have come out as they went in: a chain may bite its own tail.
    while version is not None and version not in chain and wanted not in chain:
        chain.add(version)
        factors = version_record(warehouse, "latent_factors", version)
        version = factors.inputs.get(STARTED_FROM) if factors else None
    return wanted in chain
