"""Where a network puts a cover in latent space: the train mean, and so far in its direction.

What a network predicts is a direction from the mean of the train factors, up to length: objectives
differ in the length that they ask for, and most ask for less than a factor has. One number for all
covers brings it to the factors' own length, by least squares on projects held out from training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cf_pipeline.benchmark.feature_sets import LATENT_FACTORS, PREDICTED_FACTORS
from cf_pipeline.errors import DataError
from cf_pipeline.models.spaces import stored_vectors, train_projects
from cf_pipeline.models.warm import has_axes_of
from cf_pipeline.sql import equals
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.vectors import Matrix, Vector


@dataclass(frozen=True)
class Placement:
    """From predicted factors to places in latent space.

    Attributes:
        mean: of the train factors, shape (k,).
        length: of one unit of a prediction, in units of the factors.
    """

    mean: Vector
    length: float

    def of(self, predicted: Matrix) -> Matrix:
        """Predicted factors as the network gives them, to places among `latent_factors`, (n, k)."""
        return np.asarray(self.mean + self.length * predicted, dtype=np.float32)


def placement_of(warehouse: Warehouse, model: str) -> Placement:
    """How a model's predictions become places.

    The length minimizes sum |f_i - mean - length p_i|^2 over validation projects, whose factors
    f_i are folded in; over train projects where there are none.

    Raises:
        DataError: today's factors are not those that the model was trained on, or there are none.
    """
    if not has_axes_of(warehouse, model):
        raise DataError(
            f"model {model} was trained on other latent factors than {warehouse.path} holds, and "
            "their axes are others. Run cf-pipeline run, or name the model of today with --model."
        )
    factors = stored_vectors(warehouse, LATENT_FACTORS, model)
    predicted = stored_vectors(warehouse, PREDICTED_FACTORS, model)
    train = train_projects(warehouse)
    mean = factors.rows(train).mean(axis=0)
    held_out = warehouse.frame("training_set", ("project_id",), where=equals("split", "validation"))
    ids = held_out["project_id"].to_list() or list(train)
    p, f = predicted.rows(ids).astype(np.float64), factors.rows(ids) - mean
    return Placement(mean, float((p * f).sum() / (p * p).sum()))
