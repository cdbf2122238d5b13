"""Covers at their places on a map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cf_pipeline.figures.style import DPI, INK, LABEL_SIZE, TITLE_SIZE, png
from cf_pipeline.figures.tiles import missing_tile, shrunk
from cf_pipeline.vectors import Matrix

_SIDE, _HEADER, _MARGIN = 760, 30, 10
_TILES = ((150, 34), (500, 26), (1000, 20))
"""Up to so many covers, the longer side of one in pixels."""
_GROUND = "#f1f3f4"


def covers_on_a_map(paths: Sequence[Path], places: Matrix, title: str) -> bytes:
    """Covers where they lie; those that come later lie on top.

    Args:
        paths: n covers; about a thousand stay recognizable in 100 KB.
        places: float32, shape (n, 2), x and y from 0 to 1, y downwards.
        title: what is shown.

    Returns:
        PNG bytes.
    """
    side = next((pixels for most, pixels in _TILES if len(paths) <= most), _TILES[-1][1])
    size = (_SIDE + 2 * _MARGIN, _SIDE + _HEADER + _MARGIN)
    pixels = Image.new("RGB", size, _GROUND)
    for path, (x, y) in zip(paths, places.tolist(), strict=True):
        cover = shrunk(path, side) or missing_tile(side)
        left = _MARGIN + x * (_SIDE - side) + (side - cover.width) / 2
        top = _HEADER + y * (_SIDE - side) + (side - cover.height) / 2
        pixels.paste(cover, (round(left), round(top)))
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    drawn: npt.NDArray[np.uint8] = np.asarray(pixels)
    figure.figimage(drawn)
    place = (_MARGIN / size[0], 1 - 6 / size[1])
    figure.text(*place, title, va="top", fontsize=TITLE_SIZE, color=INK)
    if not paths:
        figure.text(0.5, 0.5, "nothing to show", ha="center", fontsize=LABEL_SIZE, color=INK)
    return png(figure)
