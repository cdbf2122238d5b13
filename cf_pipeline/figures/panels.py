"""Covers side by side: queries with their neighbors, and contact sheets.

Tiles keep the cover's shape on white. A cover that is missing or cannot be read is a grey tile
with a cross, never a gap: the reader sees that something should be there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from cf_pipeline.figures.style import BLUE, DPI, INK, TICK_SIZE, TITLE_SIZE, png
from cf_pipeline.figures.tiles import missing_tile, thumbnail

logger = logging.getLogger(__name__)

GAP = 4
QUERY_GAP = 16
"""Pixels between tiles, and between a query and its neighbors."""
CAPTION_HEIGHT = 16
TILES = ((80, 60), (160, 48), (300, 36))
"""Up to so many covers, a tile of so many pixels: what keeps its colors in 100 KB."""
MAX_WIDTH = 1100


def retrieval_panel(
    rows: Sequence[Sequence[Path]],
    captions: Sequence[str],
    title: str = "Queries (left) and their nearest neighbors",
) -> bytes:
    """One row per query: its cover, then its neighbors, nearest first.

    Args:
        rows: each the query's cover and its neighbors' covers.
        captions: a line under each row; as many as rows.
        title: what is shown.

    Returns:
        PNG bytes.

    Raises:
        ValueError: not as many captions as rows.
    """
    return _rows_of_covers(rows, captions, title, of_queries=True)


def captioned_rows(rows: Sequence[Sequence[Path]], captions: Sequence[str], title: str) -> bytes:
    """Rows of covers, each under a line of words.

    Args:
        rows: covers, in the order given.
        captions: a line over each row; as many as rows.
        title: what is shown.

    Returns:
        PNG bytes.

    Raises:
        ValueError: not as many captions as rows.
    """
    return _rows_of_covers(rows, captions, title, of_queries=False)


def _rows_of_covers(
    rows: Sequence[Sequence[Path]], captions: Sequence[str], title: str, *, of_queries: bool
) -> bytes:
    """Rows with captions: under the row, whose first cover stands apart, or over it."""
    n_columns = max((len(row) for row in rows), default=1)
    side = _tile_side(sum(len(row) for row in rows), n_columns)
    apart = QUERY_GAP if of_queries else 0
    step = side + CAPTION_HEIGHT + 2 * GAP
    canvas = _Canvas((n_columns * (side + GAP) + apart, len(rows) * step), side, title)
    for number, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        top = number * step
        for column, path in enumerate(row):
            left = column * (side + GAP) + (apart if column else 0)
            below = 0 if of_queries else CAPTION_HEIGHT
            canvas.tile(path, left, top + below, framed=of_queries and column == 0)
        canvas.write(caption, 0, top + side + 2 if of_queries else top)
    return canvas.png()


def contact_sheet(paths: Sequence[Path], columns: int, title: str = "Covers") -> bytes:
    """Covers in rows, in the order given.

    Args:
        paths: covers; up to about 300 stay recognizable in 100 KB.
        columns: covers per row.
        title: what is shown.

    Returns:
        PNG bytes.
    """
    n_columns = max(1, min(columns, len(paths)))
    n_rows = -(-len(paths) // n_columns)
    side = _tile_side(len(paths), n_columns)
    step = side + GAP
    canvas = _Canvas((n_columns * step, n_rows * step), side, title)
    for number, path in enumerate(paths):
        row, column = divmod(number, n_columns)
        canvas.tile(path, column * step, row * step)
    return canvas.png()


class _Canvas:
    """Pixels first, then one figure of exactly their size for the text."""

    MARGIN = 10
    HEADER = 30
    MIN_WIDTH = 340

    def __init__(self, size: tuple[int, int], side: int, title: str) -> None:
        width, height = size
        self.side = side
        self.width = max(width, self.MIN_WIDTH) + 2 * self.MARGIN
        self.height = max(height, 24) + self.HEADER + self.MARGIN
        self.pixels = Image.new("RGB", (self.width, self.height), "white")
        self.title = title
        self.texts: list[tuple[str, int, int]] = []
        self.n_tiles = 0
        self.n_missing = 0

    def tile(self, path: Path, left: int, top: int, *, framed: bool = False) -> None:
        """Draws a cover; coordinates in pixels from the top left corner below the header."""
        left, top = left + self.MARGIN, top + self.HEADER
        cover = thumbnail(path, self.side)
        self.n_tiles += 1
        self.n_missing += cover is None
        self.pixels.paste(cover or missing_tile(self.side), (left, top))
        if framed:
            box = (left - 2, top - 2, left + self.side + 1, top + self.side + 1)
            ImageDraw.Draw(self.pixels).rectangle(box, outline=BLUE, width=2)

    def write(self, text: str, left: int, top: int) -> None:
        """Writes a line, cut to the width of the canvas."""
        shown = self._cut(text, letter=6)
        self.texts.append((shown, left + self.MARGIN, top + self.HEADER))

    def png(self) -> bytes:
        """The canvas with title and texts as PNG bytes."""
        figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        pixels: npt.NDArray[np.uint8] = np.asarray(self.pixels)
        figure.figimage(pixels)
        if not self.n_tiles:
            self.write("nothing to show", 0, 0)
        for text, left, top in self.texts:
            self._text(figure, text, left, top, TICK_SIZE, INK)
        self._text(figure, self._cut(self.title, letter=7), self.MARGIN, 6, TITLE_SIZE, INK)
        if self.n_missing:
            logger.warning("%d of %d covers could not be drawn", self.n_missing, self.n_tiles)
        return png(figure)

    def _cut(self, text: str, letter: int) -> str:
        """As much of a line as fits, a letter being about so many pixels wide."""
        most = (self.width - 2 * self.MARGIN) // letter
        return text if len(text) <= most else text[: most - 1] + "…"

    def _text(
        self, figure: Figure, text: str, left: int, top: int, size: float, color: str
    ) -> None:
        figure.text(
            left / self.width, 1 - top / self.height, text, va="top", fontsize=size, color=color
        )


def _tile_side(n_tiles: int, n_columns: int) -> int:
    """Pixels of a tile where so many are to fit, so many of them side by side."""
    wanted = next((side for most, side in TILES if n_tiles <= most), TILES[-1][1])
    return max(12, min(wanted, MAX_WIDTH // max(1, n_columns) - GAP))
