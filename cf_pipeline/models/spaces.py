"""Spaces that one may search: feature sets of a home as their cosines are taken.

What a form subtracts or divides by comes from the home's train projects, so a picture that the home
has never seen gets its place in the same coordinates as the covers that stand there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from cf_pipeline.benchmark.feature_sets import (
    COLLABORATIVE,
    IMAGENET,
    LATENT_FACTORS,
    PREDICTED_FACTORS,
    feature_set,
)
from cf_pipeline.benchmark.features import Form as FeatureForm
from cf_pipeline.benchmark.features import in_form
from cf_pipeline.benchmark.forms import Form, form
from cf_pipeline.errors import DataError
from cf_pipeline.sql import equals
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.vectors import IndexedVectors, Matrix, indexed, unit_norm

SPACES = (COLLABORATIVE, PREDICTED_FACTORS, IMAGENET, LATENT_FACTORS, "color")
"""By name: `collaborative` has the form that validation chose, the others are what they say."""


@dataclass(frozen=True)
class Part:
    """One feature set of a space.

    Attributes:
        stored: as its table holds them.
        form: what is done before cosines are taken.
        train: rows that the form comes from, shape (n_train, d).
    """

    stored: IndexedVectors
    form: FeatureForm
    train: Matrix

    def formed(self, vectors: Matrix) -> Matrix:
        """Vectors of this feature set as they are compared, (n, d) to (n, d)."""
        return in_form(self.form, self.train, vectors)


@dataclass(frozen=True)
class Space:
    """Where covers have a place of unit norm.

    Attributes:
        name: one of SPACES.
        form: which feature sets it is made of, alone or side by side.
        parts: feature set to what stands in the home.
    """

    name: str
    form: Form
    parts: Mapping[str, Part]

    def places(self) -> IndexedVectors:
        """Every project that has a place, in the order of ids; float32 of unit norm, (n, d)."""
        of_all = [set(part.stored.ids) for part in self.parts.values()]
        ids = tuple(sorted(set.intersection(*of_all)))
        rows = {name: part.stored.rows(ids) for name, part in self.parts.items()}
        return IndexedVectors(ids, self.of(rows))

    def of(self, given: Mapping[str, Matrix]) -> Matrix:
        """Places of unit norm, shape (n, d).

        Args:
            given: feature set to vectors as its table would hold them, shape (n, d_i) each, of
                every feature set of the space.
        """
        formed = {name: part.formed(given[name]) for name, part in self.parts.items()}
        return unit_norm(self.form.of(formed))


def space_of(warehouse: Warehouse, name: str, model: str, imagenet_form: FeatureForm) -> Space:
    """A space as a home has it.

    Args:
        warehouse: of the home.
        name: one of SPACES.
        model: a model version, whose layers are meant.
        imagenet_form: `benchmark.imagenet_form`.

    Raises:
        DataError: there is no vector, or a train project lacks one of a feature set that is no
            model's.
    """
    if name not in SPACES:
        raise ValueError(f"{name} is none of {SPACES}")
    chosen = exported_form(warehouse, model) if name == COLLABORATIVE else None
    wanted = form(chosen or COLLABORATIVE) if name == COLLABORATIVE else Form(name)
    names = [wanted.layer] if wanted.beside is None else [wanted.layer, wanted.beside]
    parts = {}
    for each in names:
        vectors = stored_vectors(warehouse, each, model)
        shape = feature_set(each).form
        how: FeatureForm = imagenet_form if shape == "configured" else shape
        train = train_projects(warehouse) if how != "plain" else ()
        if feature_set(each).is_layer:
            # A model that is no longer trained was not shown the projects that came since.
            train = tuple(project for project in train if project in vectors)
        if how != "plain" and not train:
            raise DataError(
                f"none of today's train projects has {each} of model {model}, and the form of its "
                "space is their mean. cf-pipeline promote embeds a model again."
            )
        parts[each] = Part(vectors, how, vectors.rows(train))
    return Space(name, wanted, parts)


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


def stored_vectors(warehouse: Warehouse, name: str, model: str) -> IndexedVectors:
    """Every vector of a feature set of projects, as its table holds it.

    Args:
        warehouse: of the home.
        name: of the feature set.
        model: a model version, of layers.

    Raises:
        DataError: there is none.
    """
    row = feature_set(name)
    table, column, id_column = str(row.table), row.column, "project_id"
    where = equals("feature_set", name)
    if row.is_layer:
        where = equals("model_version", model)
    if name == LATENT_FACTORS:
        where, id_column = equals("side", "project"), "id"
    rows: pl.DataFrame = warehouse.frame(table, (id_column, column), where=where)
    if rows.is_empty():
        of_model = f" of model {model}" if row.is_layer else ""
        raise DataError(
            f"no {name}{of_model} in {warehouse.path}: {table} has none. Run cf-pipeline run; a "
            "model that is neither the newest nor champion nor best is embedded by cf-pipeline "
            "promote."
        )
    return indexed(rows, id_column, column)
