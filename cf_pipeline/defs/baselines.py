"""Group baselines: features that behaviour has to beat."""

import polars as pl

from cf_pipeline.defs import fingerprints
from cf_pipeline.defs.assets import stage_asset
from cf_pipeline.defs.stage import Output, Stage


@stage_asset(
    group="baselines",
    parents=("covers",),
    reads=(
        "baselines.imagenet_model",
        "baselines.imagenet_weights",
        "baselines.imagenet_image_size",
        "baselines.imagenet_fit",
    ),
    outside=fingerprints.of_imagenet_weights,
    kinds=("torch",),
)
def imagenet_embeddings(stage: Stage) -> Output:
    """Features of a network trained on ImageNet's labels, its weights untouched."""
    from cf_pipeline.baselines.imagenet import imagenet_features
    from cf_pipeline.defs.extraction import execution, readable_covers, reference_extractor
    from cf_pipeline.vision.embedding import embed_changed

    extractor = imagenet_features(stage.configuration.baselines, execution(stage))
    table, n_computed = embed_changed(
        readable_covers(stage),
        stage.previous_rows("sha256", "features"),
        ("features",),
        reference_extractor(stage, extractor, "covers"),
    )
    return Output(
        {"imagenet_embeddings": table.with_columns(feature_set=pl.lit("imagenet"))},
        {"covers_embedded": n_computed, "weights_sha256": extractor.weights_sha256},
    )


@stage_asset(
    group="baselines",
    parents=("covers",),
    reads=(
        "baselines.color_bins",
        "baselines.seed",
        "vision.init",
        "vision.image_size",
        "vision.fit",
    ),
    kinds=("torch",),
)
def simple_embeddings(stage: Stage) -> Output:
    """Features that nobody trained: an untrained network of the same shape, and colour."""
    from cf_pipeline.baselines.untrained import simple_features
    from cf_pipeline.defs.extraction import execution, readable_covers, reference_extractor
    from cf_pipeline.vision.embedding import embed_changed

    tables, n_computed = [], 0
    for extractor in simple_features(
        stage.configuration.baselines, stage.configuration.vision, execution(stage)
    ):
        known = stage.previous_rows("sha256", "features", where=f"feature_set = '{extractor.name}'")
        table, n = embed_changed(
            readable_covers(stage),
            known,
            ("features",),
            reference_extractor(stage, extractor, "covers"),
        )
        tables.append(
            table.with_columns(
                pl.col("features").cast(pl.List(pl.Float32)), feature_set=pl.lit(extractor.name)
            )
        )
        n_computed += n
    return Output({"simple_embeddings": pl.concat(tables)}, {"covers_embedded": n_computed})
