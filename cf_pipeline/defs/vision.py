"""Group vision: what the network may see, the network, and embeddings of every cover."""

import polars as pl

from cf_pipeline.defs import fingerprints
from cf_pipeline.defs.pictures import picture
from cf_pipeline.defs.stage import Output, Stage, stage_asset


@stage_asset(
    group="vision",
    parents=("latent_factors", "covers", "project_split", "pruned_matrix"),
    outside=fingerprints.of_cover_folder,
)
def training_set(stage: Stage) -> Output:
    """Covers and factors of train and validation projects: all that the network learns from."""
    from cf_pipeline.interactions.matrix import project_degrees
    from cf_pipeline.vision.training_set import select_training_set

    table = select_training_set(
        stage.frame("latent_factors", "id", "factors", "folded_in", where="side = 'project'"),
        stage.frame("covers", "project_id", "path", "sha256", "status"),
        stage.frame("project_split"),
        project_degrees(stage.frame("pruned_matrix", "user_id", "project_id")),
    )
    counts = dict(table.group_by("split").len().sort("split").iter_rows())
    return Output({"training_set": table}, counts)


@stage_asset(
    group="vision",
    parents=("training_set",),
    reads=("vision",),
    outside=fingerprints.of_vision_weights,
    kinds=("torch", "wandb"),
)
def trained_cnn(stage: Stage) -> Output:
    """The network from a cover to its project's place in latent space, at its best epoch."""
    from cf_pipeline.defs.training import model_version, train_and_track, trained_tables
    from cf_pipeline.figures.curves import loss_curves

    artifact, history = train_and_track(stage)
    tables, facts = trained_tables(artifact, history)
    return Output(
        tables,
        {**facts, "curves": picture(loss_curves(tables["training_history"]), "loss curves")},
        scope=model_version(artifact),
        data_version=model_version(artifact),
        artifacts=[artifact],
    )


@stage_asset(
    group="vision",
    parents=("trained_cnn", "covers"),
    kinds=("torch",),
)
def embeddings(stage: Stage) -> Output:
    """Features and predicted factors of every readable cover, by the current model.

    Covers whose bytes the model has seen before keep their vectors.
    """
    from cf_pipeline.defs.extraction import model_extractor, readable_covers
    from cf_pipeline.vision.embedding import embed_changed

    model = stage.version("trained_cnn")
    columns = ("features", "predicted_factors")
    known = stage.previous_rows("sha256", *columns, where=f"model_version = '{model}'")
    table, n_computed = embed_changed(
        readable_covers(stage), known, columns, model_extractor(stage, "covers")
    )
    return Output(
        {"embeddings": table.with_columns(model_version=pl.lit(model))},
        {"covers_embedded": n_computed, "model_version": model},
        scope=model,
    )
