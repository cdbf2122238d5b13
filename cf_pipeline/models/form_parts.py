"""What makes the exported form of a model out of its layers, as a few tensors that travel.

`forms.in_form` computes a form from all vectors of a home. A cover from elsewhere needs
what it took from train projects: a mean, and the directions in which ImageNet's features are seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, IMAGENET, FeatureSet, feature_set
from cf_pipeline.benchmark.features import Form as SetForm
from cf_pipeline.benchmark.features import ensemble, in_form
from cf_pipeline.benchmark.forms import Form, form
from cf_pipeline.models.forms import exported_form, train_projects
from cf_pipeline.sql import equals
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.vectors import IndexedVectors, Matrix, Vector, indexed, unit_norm


@dataclass(frozen=True)
class FormParts:
    """A form and what was taken from train projects for it.

    Attributes:
        form: which.
        scored: whether validation chose it; else it is the features layer.
        mean: taken from the layer, float32 (d,).
        beside_mean: taken from the feature set beside it, float32 (m,); None: it is alone.
        beside_matrix: multiplied afterwards, float32 (m, m); None: nothing is.
    """

    form: Form
    scored: bool
    mean: Vector
    beside_mean: Vector | None = None
    beside_matrix: Matrix | None = None

    def of(self, layer: Matrix, beside: Matrix | None = None) -> Matrix:
        """The form of covers, unit norm: layer (n, d) and, where it asks for one, (n, m)."""
        own = unit_norm(layer - self.mean)
        if self.beside_mean is None or beside is None:
            return own
        other = np.asarray(beside - self.beside_mean, dtype=np.float32)
        if self.beside_matrix is not None:
            other = other @ self.beside_matrix
        return unit_norm(ensemble(own, other))

    def tensors(self) -> dict[str, Matrix | Vector]:
        """By the names that they have in a file."""
        given = {
            "mean": self.mean,
            f"{self.form.beside}_mean": self.beside_mean,
            f"{self.form.beside}_matrix": self.beside_matrix,
        }
        return {name: value for name, value in given.items() if value is not None}


def form_parts(warehouse: Warehouse, model: str, imagenet_form: SetForm) -> FormParts | None:
    """Of a model's exported form; None: the home has no embeddings of it to take a mean of.

    Args:
        warehouse: of the home.
        model: a model version.
        imagenet_form: `benchmark.imagenet_form`.

    Raises:
        DataError: a train project has no vector.
    """
    rows = warehouse.frame("embeddings", where="model_version = ?", parameters=[model])
    if rows.is_empty():
        return None
    name = exported_form(warehouse, model)
    chosen, train = form(name or COLLABORATIVE), train_projects(warehouse)
    layer = feature_set(chosen.layer)
    mean, _ = _taken(layer, indexed(rows, "project_id", layer.column), train, imagenet_form)
    if chosen.beside is None:
        return FormParts(chosen, name is not None, mean)
    beside = feature_set(chosen.beside)
    frozen = warehouse.frame(
        str(beside.table), ("project_id", beside.column), where=equals("feature_set", IMAGENET)
    )
    vectors = indexed(frozen, "project_id", beside.column)
    return FormParts(chosen, name is not None, mean, *_taken(beside, vectors, train, imagenet_form))


def _taken(
    of: FeatureSet, vectors: IndexedVectors, train: tuple[str, ...], imagenet_form: SetForm
) -> tuple[Vector, Matrix | None]:
    """Mean and matrix by which vectors (n, d) are compared: (x - mean) @ matrix."""
    compared = imagenet_form if of.form == "configured" else of.form
    if compared == "plain":
        return np.zeros(vectors.n_dimensions, dtype=np.float32), None
    known = vectors.rows(train)
    mean = known.mean(axis=0, dtype=np.float64)
    matrix = None
    if compared == "whitened":
        # It is linear in what is left of a vector: its rows are what unit vectors become.
        matrix = in_form(compared, known, mean + np.eye(vectors.n_dimensions))
    return mean.astype(np.float32), matrix
