"""Group gallery: a page for people."""

import dagster as dg

from cf_pipeline.configuration.choices import Configuration
from cf_pipeline.defs.assets import stage_asset
from cf_pipeline.defs.pictures import picture
from cf_pipeline.recompute.fingerprints import Located, SourceFiles
from cf_pipeline.recompute.stage import Output, Stage
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.storage.warehouse import Warehouse


def _page_files(_: Dataset, __: Configuration, ___: Warehouse) -> Located:
    """Templates, style and scripts: no code version covers them."""
    from cf_pipeline.gallery.page import page_files

    return Located(page_files(), [])


@stage_asset(
    group="gallery",
    parents=(
        "covers",
        "raw_projects",
        "project_split",
        "latent_factors",
        "latent_clusters",
        "factor_scores",
        "training_set",
        "trained_cnn",
        "embeddings",
        "imagenet_embeddings",
        "similarity_scores",
        "cold_start_scores",
        "benchmark_scores",
        "similar_projects",
    ),
    reads=("benchmark.imagenet_form",),
    outside=SourceFiles(_page_files),
    kinds=("html",),
    needs_covers=True,
)
def gallery(stage: Stage) -> Output:
    """One HTML file that shows what came out: scores, a map of all covers, clusters, failures.

    It opens from disk and loads nothing. `cf-pipeline gallery --open` opens it.
    """
    from cf_pipeline.figures.embedded import drawn_at
    from cf_pipeline.gallery.making import make_gallery

    made = make_gallery(stage, stage.version("trained_cnn"))
    covers = stage.frame("covers", "project_id", "path", where="status = 'ok'")
    drawn = picture(drawn_at(made.places, covers, "our features"), "map of covers")
    return Output(
        {"gallery": made.row, "cover_map": made.places},
        {"page": dg.MetadataValue.path(str(made.page)), **made.facts, "map": drawn},
        artifacts=[made.artifact],
    )
