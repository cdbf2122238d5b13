"""Features of a network that nobody trained.

It has the shape, the input and the initial distribution of the trained one, so that what
architecture alone gives is told apart from what training gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from cf_pipeline.baselines.feature_set import FeatureSet
from cf_pipeline.errors import ConfigError
from cf_pipeline.vectors import Matrix, Progress, silent
from cf_pipeline.vision.backbones.backbone import ChosenBackbone
from cf_pipeline.vision.config import Fit, VisionConfig

if TYPE_CHECKING:
    from torch import nn

    from cf_pipeline.vision.devices import Execution

_NOISE_SIDE = 64


class Random(FeatureSet):
    """Pooled features of a backbone with random weights."""

    name: str = "random"
    seed: int = Field(0, ge=0, description="Draws the untrained network.")

    def shaped_as(self, vision: VisionConfig) -> Untrained:
        """This feature set for the network that is trained: its backbone, image size and fit."""
        return Untrained(
            name=self.name,
            seed=self.seed,
            backbone=vision.backbone,
            image_size=vision.schedule.image_size,
            fit=vision.fit,
        )

    def extract(
        self, paths: Sequence[Path], execution: Execution, progress: Progress = silent
    ) -> Matrix:
        """Nothing: which network has to be said first.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "feature set random has the shape of the trained network, and none was handed in. "
            "Ask `shaped_as` for it; it is made already and need not stand in baselines.extra."
        )


class Untrained(Random):
    """`Random` with the network that it is of."""

    backbone: ChosenBackbone
    image_size: int
    fit: Fit

    def extract(
        self, paths: Sequence[Path], execution: Execution, progress: Progress = silent
    ) -> Matrix:
        """See FeatureSet."""
        from cf_pipeline.vision.embedding import embed_covers
        from cf_pipeline.vision.geometry import square
        from cf_pipeline.vision.networks import CoverInput

        cover_input = CoverInput(self.backbone.normalization(), square(self.image_size), self.fit)
        (features,) = embed_covers(self.network(), cover_input, paths, execution, progress)
        return features

    def network(self) -> nn.Module:
        """The backbone as the seed draws it, in evaluation mode.

        With the batch statistics that layers start with (mean 0, variance 1) activations of a deep
        untrained network shrink to rounding errors; one pass over noise gives every layer a usable
        scale.
        """
        import torch
        from torch import nn

        from cf_pipeline.vision.devices import seed_everything
        from cf_pipeline.vision.networks import built

        seed_everything(self.seed)
        network, _ = built(self.backbone, self.image_size)
        normed = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
        for layer in normed:
            layer.momentum = None  # the mean of all batches, here of one
        if normed:
            side = _NOISE_SIDE if self.backbone.any_size else self.image_size
            generator = torch.Generator().manual_seed(0)
            network.train()
            with torch.no_grad():
                network(torch.randn(64, 3, side, side, generator=generator))
        return network.eval()
