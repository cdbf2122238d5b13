"""Where tensors live and for how long: the device, its threads, and the memory of a CPU's steps.

A training step allocates and frees its activations, gigabytes of them. glibc gives such blocks
back to the system at once and faults them in again, page by page, at the next step;
`freed_memory_kept` lets it keep them for a while. `activations_checkpointed` lets a network forget
most of them and compute them again in the backward pass (Chen et al. 2016, "Training Deep Nets
with Sublinear Memory Cost"). `benchmarks/step_memory.py` measures both; neither changes a result.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cf_pipeline.errors import ConfigError

log = logging.getLogger(__name__)
Network = TypeVar("Network", bound=nn.Module)

# glibc's malloc.h and the values it starts with.
_M_TRIM_THRESHOLD, _DEFAULT_TRIM_THRESHOLD = -1, 128 * 1024
_M_MMAP_MAX, _DEFAULT_MMAP_MAX = -4, 65536
_NEVER_TRIM = 2**31 - 1


@dataclass(frozen=True)
class Execution:
    """Where and with what something is computed; none of it changes a result on one device.

    Attributes:
        device: where tensors live.
        threads: for decoding covers.
        scratch: an existing directory for files that the caller removes.
        batch_size: covers embedded at once.
        checkpointing: whether training gives time for memory.
        max_pixels: of files that nobody has looked at; None: they were found readable.
    """

    device: torch.device
    threads: int
    scratch: Path
    batch_size: int = 64
    checkpointing: bool = True
    max_pixels: int | None = None

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


@contextlib.contextmanager
def freed_memory_kept(device: torch.device) -> Iterator[None]:
    """Inside, memory that is freed stays with the process; at the end it goes back to the system.

    Args:
        device: where the work is done. With a GPU nothing is changed: torch keeps that memory
            itself.
    """
    if device.type != "cpu":
        yield
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        log.info("this C library has no mallopt: memory is faulted in anew at every step")
        yield
        return
    libc.mallopt(_M_MMAP_MAX, 0)  # a mapped block would be unmapped when it is freed
    libc.mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM)
    try:
        yield
    finally:
        libc.mallopt(_M_MMAP_MAX, _DEFAULT_MMAP_MAX)
        libc.mallopt(_M_TRIM_THRESHOLD, _DEFAULT_TRIM_THRESHOLD)
        libc.malloc_trim(0)


@contextlib.contextmanager
def activations_checkpointed(blocks: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, each block keeps its input alone for the backward pass and computes the rest again.

    Args:
        blocks: modules of one input and one output, none inside another. Parameters, gradients,
            running statistics and state dicts are what they are without.
    """
    changed = list(blocks)
    for block in changed:
        block.forward = functools.partial(_forward, block, block.forward)
    try:
        yield
    finally:
        for block in changed:
            del block.forward  # uncovers the class's


def _forward(block: nn.Module, forward: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return forward(given)
    return checkpoint(
        forward,
        given,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), _buffers_set_aside(block)),
    )


@contextlib.contextmanager
def _buffers_set_aside(block: nn.Module) -> Iterator[None]:
    """Running statistics have seen this batch in the first pass; the second writes to copies."""
    buffers = [
        (module, name, buffer)
        for module in block.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    for module, name, buffer in buffers:
        setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in buffers:
            setattr(module, name, buffer)
