"""Group retrieval: what lies near."""

import polars as pl

from cf_pipeline.benchmark.feature_sets import IMAGENET
from cf_pipeline.defs.assets import stage_asset
from cf_pipeline.defs.pictures import picture
from cf_pipeline.recompute.stage import Output, Stage


@stage_asset(
    group="retrieval",
    parents=(
        "covers",
        "latent_factors",
        "training_set",
        "trained_cnn",
        "embeddings",
        "imagenet_embeddings",
        "similarity_scores",
    ),
    reads=("benchmark.imagenet_form",),
)
def similar_projects(stage: Stage) -> Output:
    """The ten nearest projects of each: in latent space, by our features and by ImageNet's."""
    from cf_pipeline.figures.embedded import side_by_side
    from cf_pipeline.models.similar import KEPT_SPACES, neighbours_in

    model = stage.version("trained_cnn")
    spaces = [space for space in KEPT_SPACES if stage.has_covers or space != IMAGENET]
    tables = [neighbours_in(stage, space, model) for space in spaces]
    table = pl.concat(tables).with_columns(model_version=pl.lit(model))
    counts = dict(table.group_by("feature_set").len().sort("feature_set").iter_rows())
    if not stage.has_covers:
        return Output({"similar_projects": table}, counts, scope=model)
    covers = stage.frame("covers", "project_id", "path", where="status = 'ok'")
    panel = picture(side_by_side(table, covers, spaces), "nearest in every space")
    return Output({"similar_projects": table}, {**counts, "neighbours": panel}, scope=model)
