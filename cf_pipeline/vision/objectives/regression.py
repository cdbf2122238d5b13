"""The talk's objective: squared error to the factors themselves, popularity included.

With directions alone every project counts alike, however few people say where it lies; with the
factors themselves those with a large audience count most. The root of the length lies between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from cf_pipeline.vision.objectives.objective import Objective, Statistics

if TYPE_CHECKING:
    from torch import Tensor


class Regression(Objective):
    """Squared error in units of the train factors' spread."""

    name: str = "regression"
    length: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Power of a factor's length that its target has: 0 gives directions alone, 1 "
        "the factors themselves.",
    )

    def targets(self, factors: Tensor, statistics: Statistics) -> Tensor:
        """Factors less the train mean, in units of the scale, their length to a power.

        (N, k) to (N, k). The scale is one number, so that learning rates mean the same on every
        data set.
        """
        import torch
        import torch.nn.functional as F

        centred = (factors - statistics["mean"]) / statistics["scale"]
        lengths: Tensor = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
        return F.normalize(centred, dim=1) * lengths**self.length

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over the batch of |output_i - target_i|^2; (N, k) and (N, k) to a scalar."""
        return (outputs - targets).square().sum(dim=1).mean()
