"""A cover is pulled to its own target and told apart from the others' of its batch.

A cosine term pulls each cover to its target; an in-batch contrastive term (van den Oord et al.
2018, InfoNCE) tells it apart from the others', with soft targets where projects share their
audience. Where projects are not drawn alike, frequent ones would be pushed away for being frequent:
the logarithm of how likely each was drawn is taken from its similarities (logQ, Yi et al. 2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from cf_pipeline.vision.objectives.cosine import Cosine, cosine_loss

if TYPE_CHECKING:
    from torch import Tensor


class Contrastive(Cosine):
    """Cosine plus in-batch contrastive with soft targets."""

    name: str = "contrastive"
    weight: float = Field(1.0, ge=0, description="Weight of the contrastive term.")
    temperature: float = Field(0.1, gt=0, description="Divides predicted cosines in that term.")
    target_temperature: float = Field(
        0.1, gt=0, description="Divides cosines of target factors in its soft targets."
    )
    popularity_correction: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of log(how likely a project was drawn) that its similarities lose.",
    )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Both terms where all were drawn alike, (N, k) and (N, k) to a scalar."""
        return self.loss_as_drawn(outputs, targets, targets.new_zeros(len(targets)))

    def loss_as_drawn(self, outputs: Tensor, targets: Tensor, log_chances: Tensor) -> Tensor:
        """See Objective."""
        loss = cosine_loss(outputs, targets)
        if self.weight > 0:
            loss = loss + self.weight * soft_contrastive_loss(
                outputs,
                targets,
                self.temperature,
                self.target_temperature,
                self.popularity_correction * log_chances,
            )
        return loss


def soft_contrastive_loss(
    predicted: Tensor,
    target: Tensor,
    temperature: float,
    target_temperature: float,
    log_chances: Tensor | None = None,
) -> Tensor:
    """Cross entropy of in-batch similarities against softened similarities of the targets.

    q_ij = softmax_j(t_i . t_j / target_temperature - c_j) says which projects of the batch share
    i's audience; p_ij = softmax_j(f_i . t_j / temperature - c_j) says which the prediction f_i
    points at. The entropy of q is subtracted, so that a perfect prediction at equal temperatures
    costs 0.

    Args:
        predicted: shape (N, k), any norm.
        target: shape (N, k), any norm.
        temperature: divides predicted cosines.
        target_temperature: divides target cosines.
        log_chances: c, what each project's similarities lose for how likely it was drawn, shape
            (N,); None: nothing.

    Returns:
        Scalar, in nats: the mean Kullback-Leibler divergence from p to q.
    """
    import torch.nn.functional as F

    f, t = F.normalize(predicted, dim=1), F.normalize(target, dim=1)
    lost = 0 if log_chances is None else log_chances[None, :]
    log_p = F.log_softmax(f @ t.T / temperature - lost, dim=1)
    q = F.softmax(t @ t.T / target_temperature - lost, dim=1)
    return F.kl_div(log_p, q, reduction="batchmean")
