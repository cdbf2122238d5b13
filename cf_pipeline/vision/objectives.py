"""What the network is asked for: its cover's place in latent space.

`contrastive` is the default: unit-norm targets, so that popularity, which lives in the norm of a
factor, is not asked for (Dieleman 2014); a cosine term pulls each cover to its own target, and an
in-batch contrastive term (van den Oord et al. 2018, InfoNCE) tells it apart from the others', with
soft targets where projects share their audience. Every project is drawn once per epoch, so there
is no sampling bias to correct (logQ is constant). `regression` is the talk's: squared error.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cf_pipeline.vectors import Matrix
from cf_pipeline.vision.config import VisionConfig


def cosine_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cos(predicted_i, target_i); (N, k) and (N, k) to a scalar in [0, 2]."""
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
    f, t = F.normalize(predicted, dim=1), F.normalize(target, dim=1)
    log_p = F.log_softmax(f @ t.T / temperature, dim=1)
    q = F.softmax(t @ t.T / target_temperature, dim=1)
    return F.kl_div(log_p, q, reduction="batchmean")


def regression_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """The talk's regression: mean over the batch of |predicted_i - target_i|^2; to a scalar."""
    return (predicted - target).square().sum(dim=1).mean()


def objective(predicted: Tensor, target: Tensor, config: VisionConfig) -> Tensor:
    """The configured loss of a batch, (N, k) and (N, k) to a scalar."""
    if config.objective == "regression":
        return regression_loss(predicted, target)
    loss = cosine_loss(predicted, target)
    if config.contrastive_weight > 0:
        loss = loss + config.contrastive_weight * soft_contrastive_loss(
            predicted, target, config.temperature, config.target_temperature
        )
    return loss


@dataclass(frozen=True)
class TargetFrame:
    """Where train factors lie: what targets of both halves are measured from and by.

    Attributes:
        mean: of the train factors, shape (k,).
        scale: root mean square distance of train factors from it, a scalar.
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, factors: Matrix) -> TargetFrame:
        """From train factors (N, k)."""
        mean = torch.from_numpy(factors.mean(axis=0))
        return cls(mean, (torch.tensor(factors) - mean).square().sum(dim=1).mean().sqrt())


def prepare_targets(factors: Tensor, frame: TargetFrame, config: VisionConfig) -> Tensor:
    """Factors as the objective wants them, (N, k) to (N, k).

    Both take the mean of the train factors away, which all projects share. The cosine form scales
    to unit norm; the regression divides by their root mean square length, one number, so that
    learning rates mean the same on every data set.
    """
    centred = factors - frame.mean
    if config.objective == "regression":
        return centred / frame.scale
    return F.normalize(centred, dim=1)
