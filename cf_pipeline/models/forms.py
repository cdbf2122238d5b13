"""A model's vectors in the form that validation chose for them, out of the warehouse."""

from __future__ import annotations

import numpy as np
import polars as pl

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, IMAGENET, LAYERS
from cf_pipeline.benchmark.features import centred
from cf_pipeline.benchmark.forms import form
from cf_pipeline.errors import DataError
from cf_pipeline.sql import equals
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.vectors import IndexedVectors, indexed, unit_norm

_COLUMNS = {COLLABORATIVE: "features", LAYERS[1]: "predicted_factors"}
_CENTRED = {COLLABORATIVE, IMAGENET}


def exported_form(warehouse: Warehouse, model: str) -> str:
    """The name of the form that a model's features are handed out in.

    The features layer where the model was not scored yet.
    """
    if not warehouse.has("exported_forms"):
        return COLLABORATIVE
    chosen = warehouse.frame(
        "exported_forms", ("form",), where="model_version = ? AND exported", parameters=[model]
    )
    return str(chosen["form"].item()) if chosen.height else COLLABORATIVE


def in_form(warehouse: Warehouse, rows: pl.DataFrame, name: str) -> pl.Series:
    """Vectors of unit norm in a form, as `ARRAY(Float32, d)`, row by row.

    Features are centred on train projects, as the scoreboard does.

    Args:
        warehouse: of the home.
        rows: `project_id, split, features, predicted_factors` of one model, no project twice.
        name: of the form.

    Raises:
        DataError: no train project is there, or a cover has no features to stand beside.
    """
    wanted, ids = form(name), tuple(rows["project_id"].to_list())
    given = {wanted.layer: indexed(rows, "project_id", _COLUMNS[wanted.layer])}
    if wanted.beside is not None:
        table = warehouse.frame(
            "imagenet_embeddings",
            ("project_id", "features"),
            where=equals("feature_set", wanted.beside),
        )
        given[wanted.beside] = indexed(table, "project_id", "features")
    trained = warehouse.frame("training_set", ("project_id",), where=equals("split", "train"))
    train = tuple(trained["project_id"].sort().to_list())
    vectors = {n: _compared(n, v, train).rows(ids) for n, v in given.items()}
    whole = unit_norm(wanted.of(vectors))
    return pl.Series(np.ascontiguousarray(whole), dtype=pl.Array(pl.Float32, whole.shape[1]))


def _compared(name: str, vectors: IndexedVectors, train: tuple[str, ...]) -> IndexedVectors:
    if name not in _CENTRED:
        return vectors
    if not train:
        raise DataError(
            "features are centred on train projects, and training_set has none. Materialize "
            "training_set again."
        )
    return IndexedVectors(vectors.ids, centred(vectors.rows(train), vectors.vectors))
