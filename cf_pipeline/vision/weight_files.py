"""Weight files from elsewhere: read without running code, loaded into a network of known shapes.

A file may name its tensors as another library does. What does not fit is refused with the first
tensor that differs, so that no network is ever half loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import safetensors.torch
import torch
from torch import Tensor, nn

from cf_pipeline.errors import ConfigError

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
