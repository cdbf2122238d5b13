"""What a backbone is: a network from a cover to pooled features, and what it goes best with.

The settings of a backbone are its fields. A configuration is resolved without torch, so files of
backbones import it inside their functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BeforeValidator, Field, SerializeAsAny

from cf_pipeline.errors import ConfigError
from cf_pipeline.registry import Method, Registry

if TYPE_CHECKING:
    from torch import nn

RANDOM = "random"
"""Instead of a weight file: the network as it is drawn."""


@dataclass(frozen=True)
class Schedule:
    """What a backbone trains best with.

    Attributes:
        image_size: side in pixels of a square input; others have about as many pixels.
        learning_rate: peak of the schedule.
    """

    image_size: int = 224
    learning_rate: float = 3e-4


@dataclass(frozen=True)
class Normalization:
    """How pixels become what a network expects; by default ImageNet's.

    Attributes:
        mean: subtracted from values 0 to 255, per channel.
        std: divides them afterwards, per channel.
    """

    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)

    @classmethod
    def of_shares(cls, mean: tuple[float, ...], std: tuple[float, ...]) -> Normalization:
        """From numbers for pixels between 0 and 1, as libraries write them."""
        return cls(tuple(255 * value for value in mean), tuple(255 * value for value in std))


class Backbone(Method):
    """Base of the backbones; `build` is all that one has to say.

    Attributes:
        weights: a local weight file, or `random`; None: what the backbone ships with.
        checkpointed: names of the modules that training may checkpoint; none: too
            few activations to be worth the time.
        levels: names of the modules, in order of depth, whose channels may be pooled beside the
            last layer, with how many they have.
        frozen: names of the modules that stay as they are where they have learned already.
    """

    weights: str | None = Field(
        None, description="Local weight file, or random; none: what the backbone ships with."
    )

    checkpointed: ClassVar[tuple[str, ...]] = ()
    levels: ClassVar[Mapping[str, int]] = {}
    frozen: ClassVar[tuple[str, ...]] = ()

    def build(self, image_size: int) -> nn.Module:
        """The network with random weights, normalized covers (N, 3, H, W) to features (N, d).

        Args:
            image_size: H and W in pixels.

        Raises:
            ConfigError: it cannot be built for covers of this size.
        """
        raise NotImplementedError

    def schedule(self) -> Schedule:
        """What `vision` leaves open is taken from here."""
        return Schedule()

    def normalization(self) -> Normalization:
        """What its weights expect of pixels."""
        return Normalization()

    def load(self, network: nn.Module, path: Path) -> None:
        """Load a weight file into a network that `build` made.

        Raises:
            ConfigError: it is no weight file, or that of another network.
        """
        from cf_pipeline.vision.networks import load_renamed, read_weights

        load_renamed(network, read_weights(path), path)

    def shipped(self) -> Path | None:
        """The weight file that comes with the backbone; none: it is trained from nothing."""
        return None

    @property
    def any_size(self) -> bool:
        """Whether a network that was built for one size takes covers of another."""
        return True

    @property
    def pretrained(self) -> bool:
        """Whether it starts from weights that have learned, which are then moved more slowly."""
        return self.weights != RANDOM and (self.weights is not None or self.shipped() is not None)

    def files(self) -> list[Path]:
        """The weight file that the settings name, there or not."""
        return [] if self.weights in {None, RANDOM} else [Path(str(self.weights))]

    def weight_file(self) -> Path | None:
        """The file of the initial weights; None: random ones.

        Raises:
            ConfigError: there is no such file.
        """
        if not self.pretrained:
            return None
        path = next(iter(self.files()), None) or self.shipped()
        if path is None or not path.is_file():
            raise ConfigError(
                f"backbone {self.name}: no weight file at {path}. Expected a state dict of this "
                "network: set its `weights` to one."
            )
        return path

    def initial_weights(self) -> str:
        """`random`, or the SHA-256 of the weight file.

        Raises:
            ConfigError: there is no such file, or it is not the one that is known.
        """
        path = self.weight_file()
        if path is None:
            return RANDOM
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class LibraryBackbone(Backbone):
    """A backbone of a library that names many: `library:model`, with a weight file of its own."""

    @property
    def model(self) -> str:
        """The library's name for it."""
        return self.name.partition(":")[2]

    def shipped(self) -> Path | None:
        """Nothing is: what the library would download has to be there.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"backbone {self.name} needs a local weight file, got none. Nothing is downloaded: set "
            'its `weights` to a file, or to "random".'
        )


BACKBONES = Registry(
    sort="backbone",
    base="cf_pipeline.vision.backbones.backbone:Backbone",
    entries={
        "alexnet": "cf_pipeline.vision.backbones.alexnet:AlexNet",
        "efficientnet_lite0": "cf_pipeline.vision.backbones.efficientnet_lite0:EfficientNetLite0",
        "resnet_small": "cf_pipeline.vision.backbones.resnet_small:ResNetSmall",
    },
    entry_points="cf_pipeline.backbones",
    prefixes={
        "timm": "cf_pipeline.vision.backbones.timm_models:Timm",
        "torchvision": "cf_pipeline.vision.backbones.torchvision_models:TorchVision",
    },
)
ChosenBackbone = Annotated[SerializeAsAny[Backbone], BeforeValidator(BACKBONES.choose)]
"""A field that holds a backbone: its name, or a table with `name` and its settings."""
