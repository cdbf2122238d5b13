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

from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import Matrix
from cf_pipeline.vision.batches import Validation
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.devices import Execution
from cf_pipeline.vision.embedding import embed_covers
from cf_pipeline.vision.examples import TrainingData
from cf_pipeline.vision.networks import CoverInput, CoverRegressor
from cf_pipeline.vision.ridge import STRENGTHS, RidgePath, fit_ridge

_logger = logging.getLogger(__name__)


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


def ridge_heads(
    network: CoverRegressor,
    config: VisionConfig,
    data: TrainingData,
    targets: Tensor,
    validation: Validation,
    execution: Execution,
) -> RidgeHeads | None:
    """Ridges on the features as they are before training; None where a head has no such targets.

    The network's features are balanced by those of the train covers on the way.
    """
    wanted = config.objective.head_targets(targets)
    if wanted is None:
        _logger.info("objective %s has no ridge: the head starts at random", config.objective.name)
        return None
    assert data.shape is not None  # `train` has filled it in
    look = CoverInput(config.backbone.normalization(), data.shape, config.fit)
    paths = (*data.train.paths, *data.validation.paths)
    given, _ = embed_covers(network, look, paths, execution)
    n_train, features = len(data.train.paths), torch.from_numpy(given)
    network.balance(features[:n_train])
    features = (features - network.center.cpu()) * network.scale.cpu()
    return fit_heads(
        features[:n_train].numpy(),
        wanted,
        features[n_train:].numpy(),
        lambda outputs: validation.merit(validation.judge(outputs)),
        data.train.weights(config),
    )


def fit_heads(
    features: Matrix,
    targets: Tensor,
    held_out: Matrix,
    merit: Callable[[Tensor], float],
    weights: Floats | None = None,
) -> RidgeHeads:
    """Fit to train and choose the strength on validation.

    Args:
        features: of train covers, shape (n, d).
        targets: what the head is to give for them, shape (n, n_outputs).
        held_out: features of validation covers, shape (m, d).
        merit: what validation makes of outputs (m, n_outputs); more is better.
        weights: how much each train cover counts, shape (n,), of mean 1; None: all alike.
    """
    path = fit_ridge(features, targets.numpy(), weights)
    outputs = {s: path.offset + path.predict(held_out, s) for s in STRENGTHS}
    merits = {s: merit(torch.from_numpy(o.astype(np.float32))) for s, o in outputs.items()}
    best = max(STRENGTHS, key=lambda strength: merits[strength])
    _logger.info("ridge on frozen features: strength %g, merit %.4f", best, merits[best])
    return RidgeHeads(path, best)
