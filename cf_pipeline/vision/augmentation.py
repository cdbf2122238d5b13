"""Random views of covers, a batch at a time: crops of the whole cover, mirrored, lit otherwise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cf_pipeline.vision.geometry import Shape

STORED_ABOVE = 1.2
"""Covers are decoded so much larger than the input, so that a crop is not blown up by much."""
_MAX_STRETCH = 1.25
"""A crop's aspect over the cover's, at most; and at least one by it."""


def random_views(
    covers: Tensor, shape: Shape, crop_area: float, jitter: float, generator: torch.Generator
) -> Tensor:
    """One view of each cover.

    Args:
        covers: float32 (N, 3, h, w), normalized.
        shape: of the views.
        crop_area: smallest share of a cover that a view shows, up to 1.
        jitter: brightness moves by up to so much, in units of a normalized channel, and contrast
            is multiplied by 1 plus or minus so much.
        generator: draws on the CPU, so that a seed gives the same views on every device.

    Returns:
        float32 (N, 3, height, width), channels last in memory.
    """
    n = len(covers)
    area, stretch, down, across, mirror, light, contrast = torch.rand(
        (7, n), generator=generator
    ).to(covers.device)
    side = (crop_area + (1 - crop_area) * area).sqrt()
    stretched = _MAX_STRETCH ** (stretch - 0.5)  # the square root of the change of aspect
    height, width = (side * stretched).clamp(max=1), (side / stretched).clamp(max=1)
    theta = torch.zeros((n, 2, 3), device=covers.device)
    theta[:, 0, 0] = torch.where(mirror < 0.5, -width, width)
    theta[:, 0, 2] = (1 - width) * (2 * across - 1)
    theta[:, 1, 1] = height
    theta[:, 1, 2] = (1 - height) * (2 * down - 1)
    grid = F.affine_grid(theta, [n, 3, *shape], align_corners=False)
    views = F.grid_sample(covers, grid, padding_mode="border", align_corners=False)
    factor = (1 + jitter * (2 * contrast - 1))[:, None, None, None]
    mean = views.mean(dim=(1, 2, 3), keepdim=True)
    shift = jitter * (2 * light - 1)[:, None, None, None]
    views = views * factor + (mean * (1 - factor) + shift)
    result: Tensor = views.contiguous(memory_format=torch.channels_last)
    return result
