"""Memory of a network on a CPU: kept between steps, and given up for time.

A training step allocates and frees its activations, gigabytes of them. glibc gives such blocks
back to the system at once and faults them in again, page by page, at the next step;
`freed_memory_kept` lets it keep them for a while. `benchmarks/step_memory.py` measures both.
`activations_checkpointed` lets a network forget most activations and compute them again in the
backward pass (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"). Neither changes
a result.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_log = logging.getLogger(__name__)

# glibc's malloc.h and the values it starts with.
_M_TRIM_THRESHOLD, _DEFAULT_TRIM_THRESHOLD = -1, 128 * 1024
_M_MMAP_MAX, _DEFAULT_MMAP_MAX = -4, 65536
_NEVER_TRIM = 2**31 - 1


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
        _log.info("this C library has no mallopt: memory is faulted in anew at every step")
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
