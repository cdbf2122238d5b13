"""What makes the exported form of a model out of its layers, as a few tensors that travel.

`spaces.Space` computes a form from all vectors of a home. A cover from elsewhere needs
what it took from train projects: a mean, and the directions in which ImageNet's features are seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE
from cf_pipeline.benchmark.features import Form as SetForm
from cf_pipeline.benchmark.features import ensemble
from cf_pipeline.benchmark.forms import Form
from cf_pipeline.models.spaces import Part, exported_form, space_of
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.vectors import Matrix, Vector, unit_norm


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
        DataError: a train project has no vector of what stands beside.
    """
    known = warehouse.frame("embeddings", ("project_id",), "model_version = ?", [model])
    if known.is_empty():
        return None
    space = space_of(warehouse, COLLABORATIVE, model, imagenet_form)
    scored = exported_form(warehouse, model) is not None
    mean, _ = _taken(space.parts[space.form.layer])
    if space.form.beside is None:
        return FormParts(space.form, scored, mean)
    return FormParts(space.form, scored, mean, *_taken(space.parts[space.form.beside]))


def _taken(part: Part) -> tuple[Vector, Matrix | None]:
    """Mean and matrix by which vectors (n, d) are compared: (x - mean) @ matrix."""
    n = part.stored.n_dimensions
    if part.form == "plain":
        return np.zeros(n, dtype=np.float32), None
    mean = part.train.mean(axis=0, dtype=np.float64)
    # It is linear in what is left of a vector: its rows are what unit vectors become.
    matrix = part.formed(mean + np.eye(n)) if part.form == "whitened" else None
    return mean.astype(np.float32), matrix
