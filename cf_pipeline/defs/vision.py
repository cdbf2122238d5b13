"""Group vision: what the network may see, the network, and embeddings of every cover."""

from typing import Any

import polars as pl

from cf_pipeline.defs.assets import stage_asset
from cf_pipeline.defs.pictures import feature_pictures, picture
from cf_pipeline.recompute import fingerprints
from cf_pipeline.recompute.stage import Output, Stage
from cf_pipeline.storage.tables import TABLES
from cf_pipeline.vision import soundness


@stage_asset(
    group="vision",
    parents=(
        "latent_factors",
        "covers",
        "project_split",
        "pruned_matrix",
        "raw_interactions",
        "raw_projects",
        "user_embeddings",
    ),
    reads=("dataset.truth",),
    outside=fingerprints.of_cover_folder,
)
def training_set(stage: Stage) -> Output:
    """Covers and factors of train and validation projects: all that the network learns from.

    Beside them who is relevant to whom among validation projects, by which the epoch is chosen;
    and, where a data set has no covers, the vectors in their place.
    """
    from cf_pipeline.benchmark.inputs import PoolInputs, TruthRules
    from cf_pipeline.benchmark.relevances import validation_relevances
    from cf_pipeline.interactions.matrix import project_degrees
    from cf_pipeline.vision.training_set import select_training_set

    table = select_training_set(
        stage.frame("latent_factors", "id", "factors", "folded_in", where="side = 'project'"),
        stage.frame("covers", "project_id", "path", "sha256", "status", "width", "height"),
        stage.frame("project_split"),
        project_degrees(stage.frame("pruned_matrix", "user_id", "project_id")),
    )
    counts = dict(table.group_by("split").len().sort("split").iter_rows())
    inputs = PoolInputs.read(stage.frame, TruthRules.of(stage.section("dataset.truth")))
    relevances = validation_relevances(inputs)
    counts["validation_queries"] = relevances["query_id"].n_unique()
    return Output(
        {
            "training_set": table,
            "validation_relevances": relevances,
            "training_vectors": _training_vectors(stage, table),
        },
        counts | _examples(stage, table),
    )


@stage_asset(
    group="vision",
    parents=("training_set",),
    reads=("vision",),
    outside=fingerprints.of_vision_weights,
    kinds=("pytorch", "wandb"),
    checks=(soundness.loss_fell,),
)
def trained_cnn(stage: Stage) -> Output:
    """The network from a cover to its project's place in latent space, at its best epoch.

    Without covers it is skipped, and a linear head learns from the vectors in their place.
    """
    from cf_pipeline.defs.training import train_and_track, trained_tables, training_facts
    from cf_pipeline.figures.curves import loss_curves
    from cf_pipeline.vision.checkpoint import read_manifest

    artifact, history, wandb_run = train_and_track(stage)
    tables = trained_tables(stage, artifact, history)
    best = read_manifest(artifact.path).best_epoch
    curves = picture(loss_curves(tables["training_history"], best), "loss curves")
    return Output(
        tables,
        {**training_facts(artifact), "wandb_run": wandb_run or "not tracked", "curves": curves},
        scope=artifact.name,
        data_version=artifact.name,
        artifacts=[artifact],
        started_from=read_manifest(artifact.path).started_from,
        spent=[stage.unfinished],
    )


@stage_asset(
    group="vision",
    parents=("trained_cnn", "covers", "user_embeddings"),
    runs=("vision.backbone", "vision.objective"),
    kinds=("pytorch",),
    checks=(soundness.embeddings_are_not_alike, soundness.neighbours_are_not_the_same),
)
def embeddings(stage: Stage) -> Output:
    """Features and predicted factors of every readable cover, by the current model.

    The champion and the best model so far are kept up to date beside it, to be compared with.
    Covers whose bytes a model has seen before keep their vectors.
    """
    from cf_pipeline.models.catalogue import models_that_serve
    from cf_pipeline.models.extraction import embedded

    model = stage.version("trained_cnn")
    table, n_computed = embedded(stage, model)
    others = {
        version: embedded(stage, version)
        for version in models_that_serve(stage.warehouse)
        if version != model
    }
    return Output(
        {"embeddings": table},
        {
            "covers_embedded": n_computed,
            "covers_embedded_by_other_models": sum(n for _, n in others.values()),
            "model_version": model,
            "other_models": ", ".join(others) or "none",
            **feature_pictures(stage, table, "our features"),
        },
        scope=model,
        others={version: {"embeddings": rows} for version, (rows, _) in others.items()},
    )


def _training_vectors(stage: Stage, table: pl.DataFrame) -> pl.DataFrame | str:
    """Vectors of the training set, in the place of covers."""
    if stage.has_covers:
        return TABLES["training_vectors"].empty_sql()
    projects = table.select("project_id")
    return stage.own_vectors("features").join(projects, on="project_id", how="semi")


def _examples(stage: Stage, table: pl.DataFrame) -> dict[str, Any]:
    """A picture of some train covers."""
    from cf_pipeline.figures.panels import contact_sheet
    from cf_pipeline.vision.training_set import example_covers

    if not stage.has_covers:
        return {}
    covers = example_covers(table)
    sheet = contact_sheet(covers, columns=20, title="What the network learns from")
    return {"examples": picture(sheet, "train covers")}
