"""Networks as they are trained and used: a backbone that gives features, a head for the objective.

Covers are uint8 (N, H, W, 3) until `normalize` makes of them what a backbone expects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.backbones.backbone import Backbone, Normalization
from cf_pipeline.vision.config import Fit
from cf_pipeline.vision.objectives.objective import Objective


@dataclass(frozen=True)
class CoverInput:
    """How a network wants to see a cover.

    Attributes:
        normalization: of its pixels.
        image_size: side of the square in pixels.
        fit: how a cover becomes a square.
    """

    normalization: Normalization
    image_size: int
    fit: Fit


def normalize(covers: Tensor, normalization: Normalization) -> Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W), channels last in memory, as the network expects.

    Channels-last convolutions are several times faster than the default layout on a CPU.
    """
    mean = torch.tensor(normalization.mean, device=covers.device)
    std = torch.tensor(normalization.std, device=covers.device)
    # The permuted view of NHWC memory is NCHW in channels_last format already: nothing is copied.
    return ((covers.float() - mean) / std).permute(0, 3, 1, 2)


def built(backbone: Backbone, image_size: int) -> tuple[nn.Module, int]:
    """The network of a backbone with random weights, and the length of its features.

    Raises:
        ConfigError: it cannot be built for this size, or gives no pooled features.
    """
    try:
        network = backbone.build(image_size)
        training = network.training
        with torch.no_grad():  # inference mode would mark what a network caches in its first pass
            given = network.eval()(torch.zeros(1, 3, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"backbone {backbone.name} does not take covers of {image_size} pixels: {error}. Its "
            f"own size is {backbone.schedule().image_size}; set image_size to that, or to another "
            "multiple of its patches."
        ) from error
    network.train(training)
    if not isinstance(given, Tensor) or given.ndim != 2:
        came = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise ConfigError(
            f"backbone {backbone.name} gives {came} for one cover, expected pooled features of "
            "shape (1, d). Choose another, or pool in its `build`."
        )
    return network, int(given.shape[1])


def initialized(backbone: Backbone, image_size: int) -> tuple[nn.Module, str]:
    """The network of a backbone with its initial weights.

    Returns:
        The network without a classifier, and `random` or the SHA-256 of the weight file.

    Raises:
        ConfigError: it cannot be built for this size, or its weight file cannot be used.
    """
    digest, path = backbone.initial_weights(), backbone.weight_file()
    network, _ = built(backbone, image_size)
    if path is not None:
        backbone.load(network, path)
    return network, digest


class CoverRegressor(nn.Module):
    """Backbone and head: a cover's features, and outputs that the objective asks for."""

    def __init__(
        self, backbone: nn.Module, n_features: int, n_outputs: int, dropout: float
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(n_features, n_outputs)

    def forward(self, covers: Tensor) -> tuple[Tensor, Tensor]:
        """Normalized covers (N, 3, H, W) to features (N, n_features) and outputs (N, n_outputs)."""
        features = self.backbone(covers)
        return features, self.head(self.dropout(features))


class CoverEncoder(nn.Module):
    """A trained network as it is used: outputs are read as the objective reads them.

    Attributes:
        regressor: the network.
        objective: that it was trained for.
        statistics: what the objective remembers of the train factors; they move with the network.
    """

    def __init__(
        self, regressor: CoverRegressor, objective: Objective, statistics: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.regressor = regressor
        self.objective = objective
        self._remembered = nn.Module()
        for name, value in statistics.items():
            self._remembered.register_buffer(name, value)

    @property
    def statistics(self) -> dict[str, Tensor]:
        """By name, on the device of the network."""
        return dict(self._remembered.named_buffers())

    def forward(self, covers: Tensor) -> tuple[Tensor, Tensor]:
        """Normalized covers (N, 3, H, W) to features (N, n_features) and factors (N, n_factors)."""
        features, outputs = self.regressor(covers)
        return features, self.objective.predicted(outputs, self.statistics)
