"""Warm starts: where a scheduled retraining goes on from, and what a chain of models has seen."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cf_pipeline.defs.stage import Stage
from cf_pipeline.defs.staleness import STARTED_FROM
from cf_pipeline.storage.history import version_record
from cf_pipeline.storage.records import AssetRecord


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
    if not stage.warm or stage.previous is None:
        return None
    model = stage.previous.data_version
    if not _has_axes_of(stage, stage.previous):
        stage.log.warning(
            f"starts cold: latent_factors were fitted anew since {model} was trained, so their "
            "axes are others."
        )
        return None
    return Start(stage.artifacts.find("checkpoint", model), model)


def trained_on(stage: Stage, started_from: str | None) -> pl.DataFrame:
    """`project_id` of all that a model has seen: its training set and that of whom it continues."""
    seen = stage.frame("training_set", "project_id")
    if started_from is None:
        return seen
    earlier = stage.frame("trained_on", "project_id", where=f"model_version = '{started_from}'")
    return pl.concat([seen, earlier]).unique().sort("project_id")


def _has_axes_of(stage: Stage, model: AssetRecord) -> bool:
    """Whether today's factors are those that the model was trained on, or continue them."""
    trained = version_record(stage.warehouse, "training_set", model.inputs["training_set"])
    if trained is None:
        return False
    wanted, chain = trained.inputs["latent_factors"], set[str]()
    version: str | None = stage.version("latent_factors")
    # Factors that had converged may have come out as they went in: a chain may bite its own tail.
    while version is not None and version not in chain and wanted not in chain:
        chain.add(version)
        factors = version_record(stage.warehouse, "latent_factors", version)
        version = factors.inputs.get(STARTED_FROM) if factors else None
    return wanted in chain
