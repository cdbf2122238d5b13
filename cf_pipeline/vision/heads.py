"""The head before the first step: a ridge on the frozen features, as weights of a linear layer.

The best ridge is the floor: a network that ends below it was not worth its training. Training
itself starts from a much stronger one on purpose, since a head that has converged leaves only noise
for the backbone to fit (docs/LOG.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cf_pipeline.vectors import Matrix
from cf_pipeline.vision.ridge import STRENGTHS, RidgePath, fit_ridge

_logger = logging.getLogger(__name__)

Figures = dict[str, float]


@dataclass(frozen=True)
class RidgeHeads:
    """Ridges from frozen features to what the head is to give.

    Attributes:
        path: of every strength.
        best: the strength that validation likes best.
    """

    path: RidgePath
    best: float

    def load_into(self, head: nn.Linear, times: float = 1.0) -> None:
        """Let a linear layer give what the ridge does that is so many times as strong as the best.

        Args:
            head: from features to outputs, on any device.
            times: 1 is the best ridge, more shrinks its outputs towards their mean.
        """
        weights = self.path.weights(self.best * times)
        bias = self.path.offset - self.path.mean @ weights
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weights.T))
            head.bias.copy_(torch.from_numpy(bias))


def fit_heads(
    features: Matrix,
    targets: Tensor,
    held_out: Matrix,
    merit: Callable[[Tensor], float],
) -> RidgeHeads:
    """Fit to train and choose the strength on validation.

    Args:
        features: of train covers, shape (n, d).
        targets: what the head is to give for them, shape (n, n_outputs).
        held_out: features of validation covers, shape (m, d).
        merit: what validation makes of outputs (m, n_outputs); more is better.
    """
    path = fit_ridge(features, targets.numpy())
    outputs = {s: path.offset + path.predict(held_out, s) for s in STRENGTHS}
    merits = {s: merit(torch.from_numpy(o.astype(np.float32))) for s, o in outputs.items()}
    best = max(STRENGTHS, key=lambda strength: merits[strength])
    _logger.info("ridge on frozen features: strength %g, merit %.4f", best, merits[best])
    return RidgeHeads(path, best)
