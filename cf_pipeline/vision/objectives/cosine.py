"""Directions alone: a cover is pulled towards its project's direction from the train mean.

Popularity lives in the norm of a factor, so it is not asked for (Dieleman 2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cf_pipeline.vision.objectives.objective import Objective, Statistics

if TYPE_CHECKING:
    from torch import Tensor


class Cosine(Objective):
    """One minus the cosine of output and target."""

    name: str = "cosine"

    def targets(self, factors: Tensor, statistics: Statistics) -> Tensor:
        """Directions from the train mean, (N, k) to (N, k) of unit norm; the mean itself is zero.

        All projects share the mean, so a direction from zero would mostly say what is common.
        """
        import torch.nn.functional as F

        return F.normalize(factors - statistics["mean"], dim=1)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """`cosine_loss`, (N, k) and (N, k) to a scalar."""
        return cosine_loss(outputs, targets)


def cosine_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cos(predicted_i, target_i); (N, k) and (N, k) to a scalar in [0, 2]."""
    import torch.nn.functional as F

    return (1 - F.cosine_similarity(predicted, target, dim=1)).mean()
