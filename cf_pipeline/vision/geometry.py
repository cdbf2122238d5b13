"""How a cover becomes an input: one shape for a data set, one way to get there.

Whoever looks at a cover (training, embedding, a query) goes through `fit_cover`, so that the same
file gives the same pixels everywhere.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from cf_pipeline.vision.config import Fit, VisionConfig

MAX_CROP = 0.1
"""Share of a side that `whole` cuts off rather than fill up beside a cover."""
_MULTIPLE = 16
"""Sides are whole multiples of this many pixels: half the stride of the usual backbones."""
_MAX_ASPECT = 2.0
_BICUBIC = Image.Resampling.BICUBIC
_REDUCING_GAP = 3.0
"""Pillow averages whole pixels first where an image is more than three times too large: as good
to the eye, faster, and its filter tables stay small for covers of extreme proportions."""


class Shape(NamedTuple):
    """Height and width of an input in pixels."""

    height: int
    width: int

    def enlarged(self, factor: float) -> Shape:
        """Both sides times a factor, rounded up."""
        return Shape(math.ceil(self.height * factor), math.ceil(self.width * factor))


def square(side: int) -> Shape:
    """As high as wide."""
    return Shape(side, side)


def input_shape(config: VisionConfig, aspect: float) -> Shape:
    """The shape that a network is trained in.

    Args:
        config: size and fit; `whole` follows the covers where the backbone takes any shape.
        aspect: width over height of the median train cover.
    """
    side = config.schedule.image_size
    if config.fit != "whole" or not config.backbone.any_size:
        return square(side)
    return shape_like(aspect, side)


def shape_like(aspect: float, side: int) -> Shape:
    """The input for covers of an aspect, with about as many pixels as a square of that side.

    Args:
        aspect: width over height, of the median cover; beyond 2 and below one half it is cut off.
        side: of the square in pixels.
    """
    aspect = min(max(aspect, 1 / _MAX_ASPECT), _MAX_ASPECT)
    if abs(math.log(aspect)) < -math.log(1 - MAX_CROP):
        return square(side)  # `whole` loses less than a tenth of such a cover
    height, width = side / math.sqrt(aspect), side * math.sqrt(aspect)
    return Shape(*(max(1, round(s / _MULTIPLE)) * _MULTIPLE for s in (height, width)))


def fit_cover(image: Image.Image, shape: Shape, fit: Fit) -> npt.NDArray[np.uint8]:
    """An RGB image in a shape, uint8 (height, width, 3); bicubic, antialiased.

    Args:
        image: RGB.
        shape: of the result.
        fit: `crop` takes the largest central part of that aspect; `pad` scales until all of the
            image fits and fills up with white; `whole` crops where that loses at most a tenth of
            a side, and pads where it would lose more; `squash` scales both sides, whatever the
            aspect.
    """
    width, height = image.size
    # How many pixels of the image one of the result stands for, along each side.
    down, across = height / shape.height, width / shape.width
    if fit == "whole":
        fit = "crop" if 1 - min(down, across) / max(down, across) <= MAX_CROP else "pad"
    if fit == "pad":
        scale = max(down, across)
        inner = (max(1, round(width / scale)), max(1, round(height / scale)))
        filled = Image.new("RGB", (shape.width, shape.height), "white")
        scaled = image.resize(inner, _BICUBIC, reducing_gap=_REDUCING_GAP)
        filled.paste(scaled, ((shape.width - inner[0]) // 2, (shape.height - inner[1]) // 2))
        return np.asarray(filled, dtype=np.uint8)
    scale = min(down, across)
    left = max(0.0, (width - scale * shape.width) / 2)  # rounding may fall below
    top = max(0.0, (height - scale * shape.height) / 2)
    # The box is cut before it is scaled: scaling a ribbon first would make a huge image.
    box = (left, top, width - left, height - top) if fit == "crop" else None
    filled = image.resize(
        (shape.width, shape.height), _BICUBIC, box=box, reducing_gap=_REDUCING_GAP
    )
    return np.asarray(filled, dtype=np.uint8)
