"""The talk's objective: squared error to the factors themselves, popularity included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cf_pipeline.vision.objectives.objective import Objective, Statistics

if TYPE_CHECKING:
    from torch import Tensor


class Regression(Objective):
    """Squared error in units of the train factors' spread."""

    name: str = "regression"

    def targets(self, factors: Tensor, statistics: Statistics) -> Tensor:
        """Factors less the train mean, divided by the scale, (N, k) to (N, k).

        The scale is one number, so that learning rates mean the same on every data set.
        """
        return (factors - statistics["mean"]) / statistics["scale"]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over the batch of |output_i - target_i|^2; (N, k) and (N, k) to a scalar."""
        return (outputs - targets).square().sum(dim=1).mean()
