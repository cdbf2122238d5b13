"""A small residual network, for training from nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cf_pipeline.vision.backbones.backbone import Backbone, Normalization, Schedule

if TYPE_CHECKING:
    from torch import nn


class ResNetSmall(Backbone):
    """256 features; 1.2 million parameters. Without a weight file it starts at random."""

    name: str = "resnet_small"

    def build(self, image_size: int) -> nn.Module:
        """The network for any size."""
        from cf_pipeline.vision.backbones.residual_network import SmallResNet

        return SmallResNet()

    def schedule(self) -> Schedule:
        """From nothing it takes a higher rate."""
        return Schedule(image_size=80, learning_rate=3e-3)

    def normalization(self) -> Normalization:
        """Between -2 and 2."""
        return Normalization((127.5,) * 3, (64.0,) * 3)
