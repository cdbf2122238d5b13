"""Networks as they are trained and used: a backbone that gives features, a head for the objective.

Covers are uint8 (N, H, W, 3) until `normalize` makes of them what a backbone expects. Weight files
from elsewhere are read without running code; one may name its tensors as another library does, and
what does not fit is refused with the first tensor that differs: no network is ever half loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import safetensors.torch
import torch
from torch import Tensor, nn

from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.backbones.backbone import Backbone, Normalization
from cf_pipeline.vision.config import Fit
from cf_pipeline.vision.geometry import Shape
from cf_pipeline.vision.objectives.objective import Objective


@dataclass(frozen=True)
class CoverInput:
    """How a network wants to see a cover.

    Attributes:
        normalization: of its pixels.
        shape: height and width in pixels.
        fit: how a cover gets that shape.
    """

    normalization: Normalization
    shape: Shape
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
    network, _ = built(backbone, image_size)
    return network, loaded(network, backbone)


def loaded(network: nn.Module, backbone: Backbone) -> str:
    """Give a network that was built its initial weights; says which, as `initialized` does.

    Raises:
        ConfigError: the weight file cannot be used.
    """
    digest, path = backbone.initial_weights(), backbone.weight_file()
    if path is not None:
        backbone.load(network, path)
    return digest


class CoverRegressor(nn.Module):
    """Backbone and head: a cover's features, and outputs that the objective asks for.

    Features are the backbone's own and, where levels are named, mean and deviation of each level's
    channels before them: what a picture looks like shows below the last layer, which was made to
    tell what is on it (Gatys et al. 2016; Evci et al. 2022, "Head2Toe").

    Args:
        backbone: network and length of its pooled features, as `built` gives them.
        n_outputs: of the head.
        dropout: before the head.
        levels: names of the backbone's modules that are pooled, outputs of shape (N, C, h, w).
    """

    def __init__(
        self,
        backbone: tuple[nn.Module, int],
        n_outputs: int,
        dropout: float = 0.0,
        levels: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.backbone, n_last = backbone
        self._maps: dict[str, Tensor] = {}
        for name in levels or {}:
            self.backbone.get_submodule(name).register_forward_hook(self._keep(name))
        self.blocks = [n for n in (levels or {}).values() for _ in ("mean", "deviation")] + [n_last]
        self.center = nn.Buffer(torch.zeros(sum(self.blocks)))
        self.scale = nn.Buffer(torch.ones(sum(self.blocks)))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(sum(self.blocks), n_outputs)

    def forward(self, covers: Tensor) -> tuple[Tensor, Tensor]:
        """Normalized covers (N, 3, H, W) to features (N, n_features) and outputs (N, n_outputs)."""
        features = self.features(covers)
        return features, self.head(self.dropout(features))

    def features(self, covers: Tensor) -> Tensor:
        """Normalized covers (N, 3, H, W) to features (N, n_features), blocks as long as another."""
        last = self.backbone(covers)
        parts = []
        for kept in self._maps.values():
            pixels = kept.flatten(2)
            parts += [pixels.mean(dim=2), pixels.std(dim=2, correction=0)]
        self._maps.clear()
        whole = torch.cat([*parts, last], dim=1) if parts else last
        return (whole - self.center) * self.scale

    def balance(self, features: Tensor) -> None:
        """Let every block have the length 1 on average from now on.

        Without levels there is one block, and nothing is changed.

        Args:
            features: of train covers as they come before, shape (n, n_features).
        """
        if len(self.blocks) == 1:
            return
        mean = features.mean(dim=0)
        scales = []
        for block in torch.split(features - mean, self.blocks, dim=1):
            length = block.square().sum(dim=1).mean().sqrt()
            scales.append((1 / length.clamp(min=1e-6)).expand(block.shape[1]))
        self.center.copy_(mean)
        self.scale.copy_(torch.cat(scales))

    def _keep(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: object, output: Tensor) -> None:
            self._maps[name] = output

        return hook


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


_BATCH_COUNTER = "num_batches_tracked"
MAX_CLASSIFIER_TENSORS = 4
"""Weights and biases of a classifier that is left off, and of an auxiliary one."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file or of a torch state dict, on the CPU.

    Raises:
        ConfigError: neither of the two.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        # weights_only: a pickle from elsewhere must not run code.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch goes on to advise reading the file without that protection.
        reason = str(error).partition(". ")[0]
        raise ConfigError(
            f"{path} cannot be read as weights ({type(error).__name__}: {reason}). Expected a "
            ".safetensors file or a state dict saved by torch.save."
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ConfigError(f"{path} holds no state dict: expected names to tensors.")
    return cast(dict[str, Tensor], state)


def load_renamed(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load tensors by name, or by position where the same network was written with other names.

    Raises:
        ConfigError: a tensor is missing or has another shape, or the file is of a larger network.
    """
    own = network.state_dict()
    if all(value.ndim for value in state.values()):
        # A file from before torch counted batches, in scalars that only training reads.
        own = {name: value for name, value in own.items() if not name.endswith(_BATCH_COUNTER)}
    # Same network, other names: the order of tensors is that of the layers. A classifier at the end
    # that this network does not have is left off.
    names = list(own if own.keys() <= state.keys() else state)[: len(own)]
    chosen = {name: state[given] for name, given in zip(own, names, strict=False)}
    wrong = [name for name in own if name not in chosen or chosen[name].shape != own[name].shape]
    if wrong:
        found = tuple(chosen[wrong[0]].shape) if wrong[0] in chosen else "nothing"
        raise ConfigError(
            f"{path} does not fit the network: {len(wrong)} of {len(own)} tensors differ, the "
            f"first is {wrong[0]} (expected {tuple(own[wrong[0]].shape)}, found {found})."
        )
    left = sorted(state.keys() - set(names))
    if _goes_deeper(left, names):
        raise ConfigError(
            f"{path} holds a larger network: {len(own)} tensors fit and {len(left)} are left over, "
            f"the first is {left[0]}. Name the model that the file belongs to."
        )
    network.load_state_dict(chosen, strict=False)


def _goes_deeper(left: Sequence[str], used: Sequence[str]) -> bool:
    """Whether tensors left over are more than a classifier: layers beside those in use.

    A deeper network of a family (ResNet-34 beside ResNet-18) has all tensors of the smaller one.
    """
    parts = {name.partition(".")[0] for name in used}
    return len(left) > MAX_CLASSIFIER_TENSORS and any(
        name.partition(".")[0] in parts for name in left
    )
