"""Running the worker for `trained_cnn`: its spec, its listeners, its artifact and its tables."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cf_pipeline.models.tracked import tracker_of, versions_read
from cf_pipeline.models.warm import Start, trained_on, warm_checkpoint
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.storage.artifacts import Artifact
from cf_pipeline.tracking import TrackedRun
from cf_pipeline.vision.job import TrainingSpec, run_training
from cf_pipeline.worker import train_in_child

if TYPE_CHECKING:
    from cf_pipeline.vision.training import Listeners

NO_NETWORK = "no covers: a linear head learned from the vectors of [[features]]"
History = list[dict[str, float]]


def train_and_track(stage: Stage) -> tuple[Artifact, History, str | None]:
    """Train as configured, tell the log and wandb, and publish the checkpoint.

    Returns:
        The checkpoint, the figures of every epoch, and where the wandb run is.
    """
    from cf_pipeline.vision.checkpoint import read_manifest

    start = warm_checkpoint(stage)
    facts = {
        "vision": stage.configuration.value("vision"),
        "started_from": start.version if start else None,
        **versions_read(stage),
    }
    run = tracker_of(stage).run("trained_cnn", group=stage.run.run_id, configuration=facts)
    with stage.artifacts.draft() as folder, run as tracked:
        history = _train(stage, _spec(stage, start), folder, tracked)
        artifact = stage.artifacts.publish(folder, "checkpoint")
        manifest = read_manifest(artifact.path)
        tracked.summarize({
            "model_version": artifact.name,
            "best_epoch": manifest.best_epoch,
            "share_of_end": manifest.share_of_end,
            "validation_ndcg": manifest.validation_ndcg,
            "validation_cosine": manifest.validation_cosine,
        })
    return artifact, history, tracked.location


def _train(stage: Stage, spec: TrainingSpec, folder: Path, tracked: TrackedRun) -> History:
    """In a child that dies with this run, or in this process; the checkpoint is the same."""
    listeners = _listeners(stage, tracked)
    if stage.configuration.resources.training == "same":
        return run_training(spec, folder, listeners)
    return train_in_child(spec, folder, listeners, on_log=_told(stage))


def _told(stage: Stage) -> Callable[[str, str], None]:
    """What the child says in its log, said in Dagster's."""
    return lambda level, message: stage.log.log(level, message)


def _spec(stage: Stage, start: Start | None) -> TrainingSpec:
    """What the worker is told; the training set goes as a file in scratch."""
    resources = stage.configuration.resources
    relevances = stage.scratch / "validation_relevances.parquet"
    if stage.run.force:
        stage.unfinished.unlink(missing_ok=True)
    spec = TrainingSpec(
        training_set=stage.scratch / "training_set.parquet",
        relevances=relevances,
        vectors=None if stage.has_covers else stage.scratch / "training_vectors.parquet",
        vision=stage.configuration.vision,
        device=resources.device,
        threads=resources.n_threads,
        checkpointing=resources.checkpoint_activations,
        start=start.folder if start else None,
        start_version=start.version if start else None,
        unfinished=stage.unfinished,
        identity=stage.identity,
    )
    if spec.vectors is not None:
        stage.frame("training_vectors").write_parquet(spec.vectors)
    stage.frame("training_set").write_parquet(spec.training_set)
    stage.frame("validation_relevances").write_parquet(relevances)
    return spec


def trained_tables(stage: Stage, artifact: Artifact, history: History) -> dict[str, pl.DataFrame]:
    """Rows of trained_cnn and its companions."""
    from cf_pipeline.vision.checkpoint import read_manifest

    manifest, version = read_manifest(artifact.path), artifact.name
    model = pl.DataFrame({
        "model_version": version,
        "artifact": artifact.version,
        "manifest": json.dumps(manifest.model_dump(mode="json"), sort_keys=True),
        "trained_at": datetime.now(UTC).replace(tzinfo=None),
    })
    curves = pl.DataFrame([
        {"model_version": version, "epoch": epoch, "name": name, "value": value}
        for epoch, figures in enumerate(history)
        for name, value in figures.items()
    ])
    seen = trained_on(stage, manifest.started_from).with_columns(model_version=pl.lit(version))
    return {"trained_cnn": model, "training_history": curves, "trained_on": seen}


def training_facts(artifact: Artifact) -> dict[str, Any]:
    """What the UI shows of a training beside its curves."""
    from cf_pipeline.vision.checkpoint import read_manifest

    manifest = read_manifest(artifact.path)
    return {
        "model_version": artifact.name,
        **({"skipped": NO_NETWORK} if manifest.reads_vectors else {}),
        "backbone": manifest.backbone["name"],
        "objective": manifest.objective["name"],
        "initial_weights": manifest.initial_weights,
        "started_from": manifest.started_from or "no model of this home",
        "best_epoch": manifest.best_epoch,
        "share_of_end": manifest.share_of_end,
        "chosen_by": manifest.chosen_by,
        "validation_ndcg": manifest.validation_ndcg,
        "validation_cosine": manifest.validation_cosine,
        "input": " x ".join(map(str, manifest.shape)),
        "train_projects": manifest.n_train,
        "validation_projects": manifest.n_validation,
        "checkpoint_bytes": artifact.n_bytes,
    }


def _listeners(stage: Stage, tracked: TrackedRun) -> "Listeners":
    from cf_pipeline.figures.panels import retrieval_panel
    from cf_pipeline.vision.training import Listeners

    progress = stage.progress("covers")
    validation = stage.frame("training_set", "project_id", "path", where="split = 'validation'")
    ids, paths = validation.sort("project_id").get_columns()

    def on_epoch(epoch: int, figures: dict[str, float]) -> None:
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        stage.log.info(f"epoch {epoch}  {shown}")
        tracked.log(figures, step=epoch)

    def on_neighbours(epoch: int, rows: Sequence[Sequence[int]]) -> None:
        shown = [[Path(paths[row]) for row in line] for line in rows]
        panel = retrieval_panel(shown, [ids[line[0]] for line in rows])
        tracked.image("neighbours", panel, f"validation covers, epoch {epoch}")

    return Listeners(on_batch=progress, on_epoch=on_epoch, on_neighbours=on_neighbours)
