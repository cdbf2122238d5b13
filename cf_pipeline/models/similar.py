"""Projects with a place in each space that one may search: what stands in the warehouse."""

from __future__ import annotations

import polars as pl

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, IMAGENET, LATENT_FACTORS
from cf_pipeline.benchmark.features import Form, as_compared
from cf_pipeline.models.forms import exported_form, in_form, train_projects
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.retrieval.exact import ExactSearch
from cf_pipeline.sql import equals
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.vectors import IndexedVectors, indexed

SPACES = (LATENT_FACTORS, COLLABORATIVE, IMAGENET)
N_NEIGHBOURS = 10


def neighbours_in(stage: Stage, space: str, model: str) -> pl.DataFrame:
    """The nearest of every project in a space: `feature_set` and columns of NEIGHBOURS_SCHEMA.

    Args:
        stage: declares to read `benchmark.imagenet_form`.
        space: one of SPACES.
        model: a model version, of `collaborative`.
    """
    form = stage.configuration.benchmark.imagenet_form
    search = ExactSearch.of(places_in(stage.warehouse, space, model, form))
    stage.log.info(f"{space}: {len(search.ids):,} projects")
    table = search.neighbours(N_NEIGHBOURS, stage.progress("projects"))
    return table.select(pl.lit(space).alias("feature_set"), pl.all())


def places_in(warehouse: Warehouse, space: str, model: str, imagenet_form: Form) -> IndexedVectors:
    """Every project that has a place in a space.

    Args:
        warehouse: of the home.
        space: one of SPACES. `collaborative` has the form that validation chose, and ImageNet's
            features the one in which they are compared.
        model: a model version, of `collaborative`.
        imagenet_form: `benchmark.imagenet_form`.
    """
    if space == LATENT_FACTORS:
        rows = warehouse.frame(LATENT_FACTORS, ("id", "factors"), where="side = 'project'")
        return indexed(rows, "id", "factors")
    if space == IMAGENET:
        where = equals("feature_set", IMAGENET)
        rows = warehouse.frame("imagenet_embeddings", ("project_id", "features"), where=where)
        train = train_projects(warehouse)
        return as_compared(IMAGENET, indexed(rows, "project_id", "features"), train, imagenet_form)
    if space != COLLABORATIVE:
        raise ValueError(f"{space} is none of {SPACES}")
    rows = warehouse.frame("embeddings", where="model_version = ?", parameters=[model])
    name = exported_form(warehouse, model)
    whole = rows.select("project_id", features=in_form(warehouse, rows, name, imagenet_form))
    return indexed(whole, "project_id", "features")
