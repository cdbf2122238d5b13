"""The default objective: a cover is pulled to its own target and told apart from the others'.

Targets have unit norm, so that popularity, which lives in the norm of a factor, is not asked for
(Dieleman 2014). A cosine term pulls each cover to its target; an in-batch contrastive term (van den
Oord et al. 2018, InfoNCE) tells it apart from the others', with soft targets where projects share
their audience. Every project is drawn once per epoch, so there is no sampling bias to correct
(logQ is constant).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from cf_pipeline.vision.objectives.objective import Objective, Statistics

if TYPE_CHECKING:
    from torch import Tensor


class Contrastive(Objective):
    """Cosine plus in-batch contrastive with soft targets."""

    name: str = "contrastive"
    weight: float = Field(1.0, ge=0, description="Weight of the contrastive term.")
    temperature: float = Field(0.1, gt=0, description="Divides predicted cosines in that term.")
    target_temperature: float = Field(
        0.1, gt=0, description="Divides cosines of target factors in its soft targets."
    )

    def targets(self, factors: Tensor, statistics: Statistics) -> Tensor:
        """Directions from the train mean, (N, k) to (N, k) of unit norm; the mean itself is zero.

        All projects share the mean, so a direction from zero would mostly say what is common.
        """
        import torch.nn.functional as F

        return F.normalize(factors - statistics["mean"], dim=1)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Both terms, (N, k) and (N, k) to a scalar."""
        loss = cosine_loss(outputs, targets)
        if self.weight > 0:
            loss = loss + self.weight * soft_contrastive_loss(
                outputs, targets, self.temperature, self.target_temperature
            )
        return loss


def cosine_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cos(predicted_i, target_i); (N, k) and (N, k) to a scalar in [0, 2]."""
    import torch.nn.functional as F

    return (1 - F.cosine_similarity(predicted, target, dim=1)).mean()


def soft_contrastive_loss(
    predicted: Tensor, target: Tensor, temperature: float, target_temperature: float
) -> Tensor:
    """Cross entropy of in-batch similarities against softened similarities of the targets.

    q_ij = softmax_j(t_i . t_j / target_temperature) says which projects of the batch share i's
    audience; p_ij = softmax_j(f_i . t_j / temperature) says which the prediction f_i points at.
    The entropy of q is subtracted, so that a perfect prediction at equal temperatures costs 0.

    Args:
        predicted: shape (N, k), any norm.
        target: shape (N, k), any norm.
        temperature: divides predicted cosines.
        target_temperature: divides target cosines.

    Returns:
        Scalar, in nats: the mean Kullback-Leibler divergence from p to q.
    """
    import torch.nn.functional as F

    f, t = F.normalize(predicted, dim=1), F.normalize(target, dim=1)
    log_p = F.log_softmax(f @ t.T / temperature, dim=1)
    q = F.softmax(t @ t.T / target_temperature, dim=1)
    return F.kl_div(log_p, q, reduction="batchmean")
