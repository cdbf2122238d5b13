"""Group benchmark: is the feature any good?"""

import polars as pl

from cf_pipeline.benchmark import falls, soundness
from cf_pipeline.defs.assets import stage_asset
from cf_pipeline.defs.pictures import bars, picture, with_tables
from cf_pipeline.recompute import fingerprints
from cf_pipeline.recompute.stage import Output, Stage

JUDGED = (
    "raw_interactions",
    "raw_projects",
    "covers",
    "project_split",
    "latent_factors",
    "trained_cnn",
    "embeddings",
)
"""What decides who is judged, and what is: of the scoreboard and of the comparison of models."""
PROTOCOL = (
    "dataset.truth",
    "benchmark.n_triplets",
    "benchmark.n_resamples",
    "benchmark.max_queries",
    "benchmark.max_candidates",
    "benchmark.seed",
)
"""What both go by."""


@stage_asset(
    group="benchmark",
    parents=(
        *JUDGED,
        "imagenet_embeddings",
        "simple_embeddings",
        "ridge_embeddings",
        "user_embeddings",
    ),
    reads=(*PROTOCOL, "benchmark.imagenet_form"),
    checks=(
        soundness.protocol_does_not_leak,
        soundness.scores_are_above_chance,
        falls.similarity_did_not_fall,
    ),
)
def similarity_scores(stage: Stage) -> Output:
    """Whether neighbours by features share an audience.

    Every feature set against raw co-engagement of held-out projects, with intervals, and in pairs
    against the references.
    """
    from cf_pipeline.benchmark.inputs import SimilarityInputs, TruthRules
    from cf_pipeline.benchmark.report import summarize_similarity
    from cf_pipeline.benchmark.similarity import similarity_tables
    from cf_pipeline.models.tracked import similarity_pictures, track_evaluation

    model = stage.version("trained_cnn")
    truth = TruthRules.of(stage.section("dataset.truth"))
    inputs = SimilarityInputs.read(stage.frame, truth, model)
    result = similarity_tables(inputs, stage.configuration.benchmark, stage.progress("queries"))
    pictures = similarity_pictures(stage, inputs, result)
    tables = {
        "similarity_scores": result.scores.with_columns(model_version=pl.lit(model)),
        "similarity_differences": result.differences.with_columns(model_version=pl.lit(model)),
        "similarity_queries": result.queries.with_columns(model_version=pl.lit(model)),
        "exported_forms": result.forms.with_columns(model_version=pl.lit(model)),
        "popularity_leaks": result.leaks.with_columns(model_version=pl.lit(model)),
    }
    told = {name: table for name, table in tables.items() if name != "similarity_queries"}
    wandb_run = track_evaluation(stage, model, told, pictures)
    shown = {name: picture(png, name) for name, png in pictures.items()}
    facts = with_tables(summarize_similarity(result), "scoreboard", "pools", "popularity_leaks")
    return Output(tables, {**facts, "wandb_run": wandb_run, **shown}, scope=model)


@stage_asset(
    group="benchmark",
    parents=(*JUDGED, "imagenet_embeddings", "ridge_embeddings", "user_embeddings"),
    reads=(
        "dataset.truth",
        "benchmark.n_resamples",
        "benchmark.max_queries",
        "benchmark.max_candidates",
        "benchmark.imagenet_form",
        "benchmark.seed",
    ),
)
def cold_start_scores(stage: Stage) -> Output:
    """Held-out projects ranked for users by their covers alone, as if nobody had come for them.

    Beside the network's places stand ImageNet's nearest covers, the ridges, popularity, and the
    factors that held-out projects get from their own interactions.
    """
    from cf_pipeline.benchmark.cold_start import cold_start_table
    from cf_pipeline.benchmark.inputs import ColdStartInputs, TruthRules
    from cf_pipeline.benchmark.report import cold_start_board

    model = stage.version("trained_cnn")
    config = stage.configuration.benchmark
    truth = TruthRules.of(stage.section("dataset.truth"))
    inputs = ColdStartInputs.read(stage.frame, truth, model, config.imagenet_form)
    scores, k = cold_start_table(inputs, config, stage.progress("users"))
    facts = with_tables({"neighbours": k, "scores": cold_start_board(scores)}, "scores")
    drawn = bars(scores.filter(split="test", metric="auc"), "auc", "cold start, test")
    return Output(
        {"cold_start_scores": scores.with_columns(model_version=pl.lit(model))},
        {**facts, "auc_bars": drawn},
        scope=model,
    )


@stage_asset(
    group="benchmark",
    parents=(*JUDGED, "similarity_scores"),
    reads=PROTOCOL,
    checks=(soundness.one_champion,),
)
def promoted_model(stage: Stage) -> Output:
    """Which model serves.

    The newest model takes the champion's place unless it loses, on current validation projects
    that none of them was fitted to, to the champion or to the best model so far.
    """
    from cf_pipeline.models.promotion import compare_roles, decided, promoted_tables

    comparison = compare_roles(stage, stage.version("trained_cnn"))
    decision = decided(stage, comparison)
    tables, facts = promoted_tables(stage, comparison, decision)
    stage.log.info(f"{'promoted' if decision.promoted else 'not promoted'}: {decision.reason}")
    return Output(tables, facts)


@stage_asset(
    group="benchmark",
    parents=("covers", "project_split"),
    reads=("benchmark.tasks", "benchmark.task_test_share", "benchmark.seed", "covers"),
    outside=fingerprints.of_tasks,
    kinds=("image",),
)
def benchmark_tasks(stage: Stage) -> Output:
    """Labelled images of every benchmark task, fitted on or scored.

    Divided as their makers did, by draws, or by look component. Covers that the network of this
    home is trained or chosen on take no part.
    """
    from cf_pipeline.benchmark.task_tables import example_images, read_tasks, summarize
    from cf_pipeline.figures.panels import contact_sheet
    from cf_pipeline.models.task_features import task_rules

    tasks = read_tasks(
        stage.configuration.benchmark.tasks, task_rules(stage), stage.progress("images")
    )
    sheet = contact_sheet(example_images(tasks.images), columns=20, title="Labelled images")
    return Output(
        tasks.tables(), {**summarize(tasks), "examples": picture(sheet, "labelled images")}
    )


@stage_asset(
    group="benchmark",
    parents=("benchmark_tasks", "trained_cnn"),
    runs=("vision.backbone", "vision.objective"),
    kinds=("pytorch",),
    needs_covers=True,
)
def task_embeddings(stage: Stage) -> Output:
    """Labelled images by the network: its features, and the places that it predicts."""
    from cf_pipeline.models.task_features import task_features

    model = stage.version("trained_cnn")
    table, n_computed = task_features(stage, model)
    return Output({"task_embeddings": table}, {"images_embedded": n_computed}, scope=model)


@stage_asset(
    group="benchmark",
    parents=(
        "benchmark_tasks",
        "task_embeddings",
        "task_baseline_embeddings",
        "metaclass_embeddings",
        "trained_cnn",
    ),
    reads=("benchmark.n_resamples", "benchmark.seed", "vision.backbone"),
    checks=(falls.task_scores_did_not_fall,),
    kinds=("pytorch",),
    needs_covers=True,
)
def benchmark_scores(stage: Stage) -> Output:
    """What a linear probe and nearest neighbours make of frozen features, task by task."""
    from cf_pipeline.benchmark.probing import probe_feature_sets, summarize
    from cf_pipeline.models.task_features import probe_inputs
    from cf_pipeline.models.tracked import probe_pictures, track_evaluation

    model = stage.version("trained_cnn")
    probes = probe_feature_sets(
        probe_inputs(stage, model), stage.configuration.benchmark, stage.progress("probes")
    )
    pictures, tables = probe_pictures(probes), probes.tables(model)
    facts = {**summarize(probes), "wandb_run": track_evaluation(stage, model, tables, pictures)}
    shown = {name: picture(png, name) for name, png in pictures.items()}
    return Output(tables, {**facts, **shown}, scope=model)
