"""Where tensors live: a GPU when there is one, else the CPU with a stated number of threads."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from cf_pipeline.errors import ConfigError

log = logging.getLogger(__name__)
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Execution:
    """Where and with what something is computed; none of it changes a result on one device.

    Attributes:
        device: where tensors live.
        threads: for decoding covers.
        scratch: an existing directory for files that the caller removes.
        batch_size: covers embedded at once.
        checkpointing: whether training gives time for memory, as `memory` says.
    """

    device: torch.device
    threads: int
    scratch: Path
    batch_size: int = 64
    checkpointing: bool = True

    @classmethod
    def of(
        cls,
        device: str,
        threads: int,
        scratch: Path,
        checkpointing: bool = True,
        *,
        batch_size: int = 64,
    ) -> Execution:
        """From configuration: `auto` and 0 threads mean what the machine has."""
        return cls(
            choose_device(device),
            threads or torch.get_num_threads(),
            scratch,
            batch_size,
            checkpointing,
        )


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda` or `cuda:1`.

    Raises:
        ConfigError: a device that this machine does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        log.info("device: auto chose %s", name)
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"resources.device is {name!r}; expected auto, cpu or cuda.") from error
    if device.type not in {"cpu", "cuda"}:
        raise ConfigError(f"resources.device is {name!r}; expected auto, cpu or cuda.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"resources.device is {name!r} and torch finds no GPU. Set it to auto or cpu."
        )
    return device


def on_device(network: Network, device: torch.device) -> Network:
    """A network on a device, its weights in channels-last order as `normalize` gives covers."""
    return network.to(device).to(memory_format=torch.channels_last)


def seed_everything(seed: int) -> torch.Generator:
    """Seed what layers draw from, and return a generator for everything drawn explicitly."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - third-party layers draw from the legacy generator
    torch.manual_seed(seed)
    generator = torch.Generator()
    generator.manual_seed(seed)
    return generator
