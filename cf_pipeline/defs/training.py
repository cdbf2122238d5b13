"""Running the worker for `trained_cnn`: its spec, its listeners, its artifact and its tables."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from cf_pipeline.defs.stage import Stage
from cf_pipeline.storage.artifacts import Artifact
from cf_pipeline.tracking import TrackedRun, Tracker
from cf_pipeline.worker import TrainingSpec, run_training

if TYPE_CHECKING:
    from cf_pipeline.vision.training import Listeners

History = list[dict[str, float]]


def model_version(artifact: Artifact) -> str:
    """16 hexadecimal digits of the hash of weights and manifest."""
    return artifact.version[:16]


def train_and_track(stage: Stage) -> tuple[Artifact, History]:
    """Train as configured, tell the log and wandb, and publish the checkpoint."""
    from cf_pipeline.vision.checkpoint import read_manifest

    configuration = stage.configuration
    tracker = Tracker(
        stage.wandb_folder, configuration.tracking.project, configuration.tracking.mode
    )
    facts = {
        "vision": configuration.value("vision"),
        "training_set": stage.version("training_set"),
        "recipe": configuration.recipe,
        "budget": configuration.budget,
    }
    with (
        stage.artifacts.stage() as folder,
        tracker.run("trained_cnn", group=stage.run_id, configuration=facts) as tracked,
    ):
        history = run_training(_spec(stage), folder, _listeners(stage, tracked))
        artifact = stage.artifacts.publish(folder, "checkpoint")
        manifest = read_manifest(artifact.path)
        tracked.summarize({
            "model_version": model_version(artifact),
            "best_epoch": manifest.best_epoch,
            "best_validation_cosine": manifest.validation_cosine,
        })
        if tracked.location:
            stage.log.info(f"wandb run: {tracked.location}")
    return artifact, history


def _spec(stage: Stage) -> TrainingSpec:
    """What the worker is told; the training set goes as a file in scratch."""
    resources = stage.configuration.resources
    spec = TrainingSpec(
        training_set=stage.scratch / "training_set.parquet",
        vision=stage.configuration.vision,
        device=resources.device,
        threads=resources.n_threads,
    )
    stage.frame("training_set").write_parquet(spec.training_set)
    return spec


def trained_tables(
    artifact: Artifact, history: History
) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """Rows of trained_cnn and training_history, and what the UI shows."""
    from cf_pipeline.vision.checkpoint import read_manifest

    manifest = read_manifest(artifact.path)
    model = pl.DataFrame({
        "model_version": model_version(artifact),
        "artifact": artifact.version,
        "manifest": json.dumps(manifest.model_dump(mode="json"), sort_keys=True),
        "trained_at": datetime.now(UTC).replace(tzinfo=None),
    })
    curves = pl.DataFrame([
        {"model_version": model_version(artifact), "epoch": epoch, "name": name, "value": value}
        for epoch, figures in enumerate(history, start=1)
        for name, value in figures.items()
    ])
    facts = {
        "model_version": model_version(artifact),
        "architecture": manifest.architecture,
        "initial_weights": manifest.initial_weights,
        "best_epoch": manifest.best_epoch,
        "validation_cosine": manifest.validation_cosine,
        "train_projects": manifest.n_train,
        "validation_projects": manifest.n_validation,
        "checkpoint_bytes": artifact.n_bytes,
    }
    return {"trained_cnn": model, "training_history": curves}, facts


def _listeners(stage: Stage, tracked: TrackedRun) -> "Listeners":
    from cf_pipeline.vision.training import Listeners

    progress = stage.progress("covers")

    def on_epoch(epoch: int, figures: dict[str, float]) -> None:
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        stage.log.info(f"epoch {epoch}  {shown}")
        tracked.log(figures, step=epoch)

    return Listeners(on_batch=progress, on_epoch=on_epoch)
