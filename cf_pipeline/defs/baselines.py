"""Group baselines: features that behaviour has to beat."""

import polars as pl

from cf_pipeline.benchmark.feature_sets import IMAGENET, IMAGENET_RIDGE
from cf_pipeline.defs.assets import stage_asset
from cf_pipeline.defs.pictures import feature_pictures
from cf_pipeline.recompute import fingerprints
from cf_pipeline.recompute.stage import Output, Stage

SIMPLE = (
    "baselines.random",
    "baselines.color",
    "baselines.extra",
    "vision.backbone",
    "vision.image_size",
    "vision.fit",
)
"""What makes the feature sets that learned nothing here."""


@stage_asset(
    group="baselines",
    parents=("raw_projects",),
    reads=("dataset.features",),
    outside=fingerprints.of_features,
    kinds=("parquet",),
)
def user_embeddings(stage: Stage) -> Output:
    """Vectors of projects that the user brings, as dataset.toml names them.

    Vectors that cannot be used are kept in `user_embeddings_rejected` with the reason.
    """
    from cf_pipeline.sources.feature_files import export_features

    project_ids = stage.frame("raw_projects", "project_id")["project_id"]
    loaded = export_features(stage.dataset, set(project_ids), stage.scratch)
    return Output(loaded.tables, loaded.summary)


@stage_asset(
    group="baselines",
    parents=("covers",),
    reads=("baselines.imagenet",),
    outside=fingerprints.of_imagenet_weights,
    kinds=("pytorch",),
    needs_covers=True,
)
def imagenet_embeddings(stage: Stage) -> Output:
    """Features of a network trained on ImageNet's labels, its weights untouched.

    Of its last layer, and of all its levels side by side.
    """
    from cf_pipeline.models.extraction import embedded_by_imagenet

    table, n_computed = embedded_by_imagenet(stage)
    shown = feature_pictures(stage, table.filter(feature_set=IMAGENET), IMAGENET, mapped=0)
    return Output({"imagenet_embeddings": table}, {"covers_embedded": n_computed, **shown})


@stage_asset(
    group="baselines",
    parents=("covers",),
    reads=SIMPLE,
    kinds=("pytorch",),
    needs_covers=True,
)
def simple_embeddings(stage: Stage) -> Output:
    """Features that learned nothing here: an untrained network, colour, and sets from outside."""
    from cf_pipeline.models.extraction import embedded_by, simple_sets

    tables, n_computed = [], 0
    for feature_set in simple_sets(stage.configuration):
        table, n = embedded_by(stage, feature_set)
        tables.append(table.with_columns(pl.col("features").cast(pl.List(pl.Float32))))
        n_computed += n
    table = pl.concat(tables)
    shown = feature_pictures(stage, table.filter(feature_set="color"), "color", mapped=0)
    return Output({"simple_embeddings": table}, {"covers_embedded": n_computed, **shown})


@stage_asset(
    group="baselines",
    parents=(
        "imagenet_embeddings",
        "user_embeddings",
        "latent_factors",
        "raw_interactions",
        "raw_projects",
        "covers",
        "project_split",
    ),
    reads=(
        "dataset.truth",
        "benchmark.imagenet_form",
        "benchmark.n_triplets",
        "benchmark.max_queries",
        "benchmark.max_candidates",
        "benchmark.seed",
    ),
)
def ridge_embeddings(stage: Stage) -> Output:
    """What linear maps from frozen features to latent space achieve: the network's floor.

    Of ImageNet's features, and of those that the user brings.

    Fitted on train projects; how strongly they are regularized is chosen on validation.
    """
    from cf_pipeline.benchmark.inputs import PoolInputs, TruthRules
    from cf_pipeline.benchmark.ridge import frozen_features, ridge_tables

    table, facts = ridge_tables(
        PoolInputs.read(stage.frame, TruthRules.of(stage.section("dataset.truth"))),
        frozen_features(stage.frame),
        stage.configuration.benchmark,
        stage.progress("queries"),
    )
    ridge = table.filter(feature_set=IMAGENET_RIDGE)
    shown = feature_pictures(stage, ridge, IMAGENET_RIDGE, mapped=0)
    return Output({"ridge_embeddings": table}, {**facts, **shown})


@stage_asset(
    group="baselines",
    parents=("benchmark_tasks", "covers", "user_embeddings"),
    reads=("baselines.imagenet", *SIMPLE),
    outside=fingerprints.of_imagenet_weights,
    kinds=("pytorch",),
    needs_covers=True,
)
def task_baseline_embeddings(stage: Stage) -> Output:
    """Labelled images by every feature set that no model of ours has a part in."""
    from cf_pipeline.models.task_features import task_baselines

    table, n_computed = task_baselines(stage)
    return Output({"task_baseline_embeddings": table}, {"images_embedded": n_computed})


@stage_asset(
    group="baselines",
    parents=("benchmark_tasks", "task_baseline_embeddings"),
    reads=("baselines.metaclass",),
    kinds=("pytorch",),
    needs_covers=True,
)
def metaclass_embeddings(stage: Stage) -> Output:
    """Labelled images as classifiers of the other tasks' classes, and groups of them, see them."""
    from cf_pipeline.models.metaclasses import metaclass_tables

    return Output(*metaclass_tables(stage))
