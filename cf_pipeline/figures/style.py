"""One quiet look for every picture, and the way to PNG bytes below 100 KB.

Figures are plain `Figure` objects on the Agg canvas: no pyplot, no global state. PNGs have a
palette, since a chart needs few colors; what is still too large loses colors, then pixels.
"""

from __future__ import annotations

import io
import warnings
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogFormatter, LogLocator, MaxNLocator
from PIL import Image

DPI = 90
MAX_BYTES = 100_000

BLUE = "#2f6690"
ORANGE = "#d1662a"
GREEN = "#4c8c4a"
GREY = "#8a9299"
PALE = "#c9d3da"
INK = "#2b3036"
GRID = "#e6eaed"

TITLE_SIZE = 10.5
LABEL_SIZE = 9.0
TICK_SIZE = 8.0


def new_figure(width: float, height: float, n_panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side.

    Args:
        width: inches of the whole.
        height: inches.
        n_panels: number of axes.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    panels = [figure.add_subplot(1, n_panels, number + 1) for number in range(n_panels)]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(PALE)
        axes.tick_params(labelsize=TICK_SIZE, colors=INK, color=PALE, length=3)
        axes.tick_params(which="minor", length=0)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, panels


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Title on the left, what each axis counts and in which unit."""
    axes.set_title(title, loc="left", fontsize=TITLE_SIZE, color=INK, pad=8)
    axes.set_xlabel(x, fontsize=LABEL_SIZE, color=INK)
    axes.set_ylabel(y, fontsize=LABEL_SIZE, color=INK)


def legend(axes: Axes, location: Literal["best", "lower left"] = "best") -> None:
    """A frameless legend of whatever has a name."""
    axes.legend(loc=location, fontsize=TICK_SIZE, labelcolor=INK, frameon=False)


def plain_numbers(axis: Axis) -> None:
    """Ticks as 12,000 or 0.0005, without a factor that hides in the corner."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(value, 12):,.10g}"))


def whole_numbers(axis: Axis) -> None:
    """Ticks at whole numbers only, even where there is a single one."""
    axis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    plain_numbers(axis)


class _Between(LogFormatter):
    """Plain numbers where matplotlib would label a tick between powers of ten."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def log_ticks(axes: Axes, which: Literal["x", "y", "both"] = "both") -> None:
    """Axes logarithmic, with plain numbers at powers of ten, and between where few are in sight."""
    scales = {"x": (axes.xaxis, axes.set_xscale), "y": (axes.yaxis, axes.set_yscale)}
    for name, (axis, scale) in scales.items():
        if which not in (name, "both"):
            continue
        scale("log")
        axis.set_major_locator(LogLocator(numticks=8))
        axis.set_minor_formatter(_Between(minor_thresholds=(1.5, 0.5)))
        axis.set_tick_params(which="minor", labelsize=TICK_SIZE)
        plain_numbers(axis)


def say_empty(axes: Axes, message: str = "nothing to show") -> None:
    """Says in the panel that there is nothing in it, instead of an empty frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(
        0.5, 0.5, message, transform=axes.transAxes, ha="center", fontsize=LABEL_SIZE, color=GREY
    )


def png(figure: Figure) -> bytes:
    """The figure as PNG bytes, below 100 KB."""
    for text in figure.findobj(Text):
        # A title or class may hold a dollar sign; it is not mathematics.
        text.set_parse_math(False)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A glyph that the font lacks is drawn as a box, which is all that can be done.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", dpi=figure.dpi)
    with Image.open(buffer) as image:
        return small_png(image.convert("RGB"))


def small_png(image: Image.Image) -> bytes:
    """PNG bytes below 100 KB: fewer colors first, then fewer pixels.

    Args:
        image: RGB.
    """
    while True:
        for n_colors in (256, 128, 64):
            data = _palette_png(image, n_colors)
            if len(data) <= MAX_BYTES:
                return data
        smaller = tuple(int(side) for side in np.array(image.size) * 0.8)
        image = image.resize((smaller[0], smaller[1]), Image.Resampling.LANCZOS)


def _palette_png(image: Image.Image, n_colors: int) -> bytes:
    buffer = io.BytesIO()
    palette = image.quantize(n_colors, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
