"""Gathering what `similarity_scores` reads into the values its room takes, and its pictures."""

from typing import TYPE_CHECKING

from cf_pipeline.defs.judged import pool_inputs
from cf_pipeline.defs.stage import Stage

if TYPE_CHECKING:
    from cf_pipeline.benchmark.similarity import SimilarityInputs, SimilarityTables
    from cf_pipeline.vectors import IndexedVectors


def similarity_inputs(stage: Stage, model: str) -> "SimilarityInputs":
    """Everything that the similarity protocol reads, for the current model."""
    from cf_pipeline.benchmark.similarity import SimilarityInputs

    shared = pool_inputs(stage)
    return SimilarityInputs(**vars(shared), features=_feature_sets(stage, model))


def _feature_sets(stage: Stage, model: str) -> "dict[str, IndexedVectors]":
    """Vectors of every cover by feature set."""
    from cf_pipeline.vectors import indexed

    ours = stage.frame("embeddings", where=f"model_version = '{model}'")
    simple = stage.frame("simple_embeddings")
    return {
        "imagenet": indexed(stage.frame("imagenet_embeddings"), "project_id", "features"),
        "collaborative": indexed(ours, "project_id", "features"),
        "predicted_factors": indexed(ours, "project_id", "predicted_factors"),
        **{
            name: indexed(simple.filter(feature_set=name), "project_id", "features")
            for name in ("random", "color")
        },
    }


def pictures_of(
    stage: Stage, inputs: "SimilarityInputs", result: "SimilarityTables"
) -> dict[str, bytes]:
    """PNG by name: a panel of neighbours by the chosen layer, and bars of every measure."""
    from cf_pipeline.figures.scores import score_bars

    bars = {
        f"{measure}_bars": score_bars(rows, measure, f"{measure}, test")
        for measure, rows in result.rows_by_measure("test")
    }
    return {"neighbours": retrieval_picture(stage, inputs, result.chosen), **bars}


def retrieval_picture(stage: Stage, inputs: "SimilarityInputs", layer: str) -> bytes:
    """Queries of the test pool with their nearest comparable covers by a layer."""
    from cf_pipeline.benchmark.features import centred_on
    from cf_pipeline.benchmark.inputs import train_ids
    from cf_pipeline.benchmark.neighbours import panel_rows, retrieval_rows
    from cf_pipeline.benchmark.pool import build_pool
    from cf_pipeline.benchmark.truth import build_truth
    from cf_pipeline.figures.panels import retrieval_panel

    catalog = inputs.catalog()
    pool = build_pool(build_truth(inputs.events), catalog, "test", inputs.min_degree)
    vectors = inputs.features[layer]
    if layer == "collaborative":
        vectors = centred_on(train_ids(catalog), vectors)
    rows = retrieval_rows(pool, vectors, seed=stage.configuration.benchmark.seed)
    covers = stage.frame("covers", "project_id", "path", where="status = 'ok'")
    return retrieval_panel(*panel_rows(rows, dict(covers.iter_rows())))
