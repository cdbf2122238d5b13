"""A model's vectors in the form that validation chose for them, out of the warehouse."""

from __future__ import annotations

import numpy as np
import polars as pl

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, feature_set
from cf_pipeline.benchmark.features import Form, as_compared
from cf_pipeline.benchmark.forms import form
from cf_pipeline.sql import equals
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.vectors import indexed, unit_norm


def exported_form(warehouse: Warehouse, model: str) -> str | None:
    """The name of the form that validation chose for a model; None: it was not scored yet."""
    if not warehouse.has("exported_forms"):
        return None
    chosen = warehouse.frame(
        "exported_forms", ("form",), where="model_version = ? AND exported", parameters=[model]
    )
    return str(chosen["form"].item()) if chosen.height else None


def train_projects(warehouse: Warehouse) -> tuple[str, ...]:
    """Those whose mean is taken from features before cosines."""
    trained = warehouse.frame("training_set", ("project_id",), where=equals("split", "train"))
    return tuple(trained["project_id"].sort().to_list())


def in_form(
    warehouse: Warehouse, rows: pl.DataFrame, name: str | None, imagenet_form: Form
) -> pl.Series:
    """Vectors of unit norm in a form, as `ARRAY(Float32, d)`, row by row, as cosines are taken.

    Args:
        warehouse: of the home.
        rows: `project_id, features, predicted_factors` of one model, no project twice.
        name: of the form; None: the features layer.
        imagenet_form: `benchmark.imagenet_form`.

    Raises:
        DataError: a train project or a cover has no vector.
    """
    wanted, ids = form(name or COLLABORATIVE), tuple(rows["project_id"].to_list())
    layer = feature_set(wanted.layer)
    given = {layer.name: indexed(rows, "project_id", layer.column)}
    if wanted.beside is not None:
        beside = feature_set(wanted.beside)
        where = equals("feature_set", beside.name)
        table = warehouse.frame(str(beside.table), ("project_id", beside.column), where=where)
        given[beside.name] = indexed(table, "project_id", beside.column)
    train = train_projects(warehouse)
    vectors = {n: as_compared(n, v, train, imagenet_form).rows(ids) for n, v in given.items()}
    whole = unit_norm(wanted.of(vectors))
    return pl.Series(np.ascontiguousarray(whole), dtype=pl.Array(pl.Float32, whole.shape[1]))
