"""Gathering what the benchmark reads from the warehouse into the values that its rooms take."""

from typing import TYPE_CHECKING

import polars as pl

from cf_pipeline.defs.stage import Stage

if TYPE_CHECKING:
    from cf_pipeline.benchmark.similarity import SimilarityInputs


def similarity_inputs(stage: Stage, model: str) -> "SimilarityInputs":
    """Everything that the similarity protocol reads, for the current model."""
    from cf_pipeline.benchmark.similarity import SimilarityInputs
    from cf_pipeline.benchmark.truth import truth_events
    from cf_pipeline.interactions.pruning import representatives
    from cf_pipeline.sources.purposes import owner_users, truth_kinds
    from cf_pipeline.vectors import indexed

    projects = stage.frame("raw_projects")
    covers = stage.frame("covers")
    stands_for = representatives(covers)
    events = truth_events(
        stage.frame("raw_interactions", "user_id", "project_id", "kind"),
        truth_kinds=truth_kinds(stage.dataset),
        excluded_users=stage.dataset.users.exclude_users,
        representatives=stands_for,
        owner_users=owner_users(stage.dataset, projects),
    )
    ours = stage.frame("embeddings", where=f"model_version = '{model}'")
    simple = stage.frame("simple_embeddings")
    features = {
        "imagenet": indexed(stage.frame("imagenet_embeddings"), "project_id", "features"),
        "collaborative": indexed(ours, "project_id", "features"),
        "predicted_factors": indexed(ours, "project_id", "predicted_factors"),
        **{
            name: indexed(simple.filter(feature_set=name), "project_id", "features")
            for name in ("random", "color")
        },
    }
    factors = stage.frame("latent_factors", "id", "factors", where="side = 'project'")
    return SimilarityInputs(
        events=events,
        projects=projects,
        covers=covers,
        splits=stage.frame("project_split"),
        representatives=stands_for,
        factors=indexed(factors, "id", "factors"),
        features=features,
        min_degree=stage.dataset.truth.min_degree,
    )


def task_features(stage: Stage, model: str) -> tuple[pl.DataFrame, int]:
    """Rows of task_embeddings for every feature set, and how many images were computed."""
    from cf_pipeline.baselines.imagenet import imagenet_features
    from cf_pipeline.baselines.untrained import simple_features
    from cf_pipeline.defs.extraction import execution, model_extractor, reference_extractor
    from cf_pipeline.vectors import FeatureExtractor
    from cf_pipeline.vision.embedding import Extract, embed_changed

    configuration = stage.configuration
    how = execution(stage)
    references: list[FeatureExtractor] = [
        imagenet_features(configuration.baselines, how),
        *simple_features(configuration.baselines, configuration.vision, how),
    ]
    extractors: dict[tuple[str, ...], Extract] = {
        (reference.name,): reference_extractor(stage, reference, "images")
        for reference in references
    }
    extractors["collaborative", "predicted_factors"] = model_extractor(stage, "images, ours")
    images = stage.frame("benchmark_tasks", "task", "image_id", "sha256", "path")
    parts, n_computed = [], 0
    for names, extract in extractors.items():
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
    return pl.concat(parts), n_computed


def _known(stage: Stage, names: tuple[str, ...], model: str) -> pl.DataFrame | None:
    """Vectors of feature sets that are there already: of this model, or of no model at all."""
    ours = "collaborative" in names
    rows = stage.previous_rows(
        "sha256",
        "feature_set",
        "features",
        where=f"model_version = '{model}'" if ours else None,
    )
    if rows is None:
        return None
    columns = [
        rows
        .filter(feature_set=name)
        .unique("sha256")
        .select("sha256", pl.col("features").alias(name))
        for name in names
    ]
    known = columns[0] if len(columns) == 1 else columns[0].join(columns[1], on="sha256")
    return known if known.height else None
