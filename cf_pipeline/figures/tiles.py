"""One cover as a tile of a picture: kept in shape, drawn as missing where it cannot be read."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

from PIL import Image, ImageDraw

from cf_pipeline.figures.style import GREY

MAX_PIXELS = 50_000_000
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow raises on files that are missing, broken, mislabelled or huge."""


def thumbnail(path: Path, side: int) -> Image.Image | None:
    """A cover on a white square of so many pixels, RGB; None where it cannot be read."""
    cover = shrunk(path, side)
    if cover is None:
        return None
    square = Image.new("RGB", (side, side), "white")
    square.paste(cover, ((side - cover.width) // 2, (side - cover.height) // 2))
    return square


def shrunk(path: Path, side: int) -> Image.Image | None:
    """A cover over white whose longer side has at most so many pixels, RGB; None: unreadable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    return None
                image.draft("RGB", (2 * side, 2 * side))
                cover = image.convert("RGBA")
    except UNREADABLE:
        return None
    cover.thumbnail((side, side), Image.Resampling.LANCZOS)
    white = Image.new("RGBA", cover.size, "white")
    white.alpha_composite(cover)
    return white.convert("RGB")


def missing_tile(side: int) -> Image.Image:
    """What stands where a cover should be: a grey square of so many pixels with a cross, RGB."""
    tile = Image.new("RGB", (side, side), "#d5d9dc")
    draw = ImageDraw.Draw(tile)
    for line in ((8, 8, side - 9, side - 9), (8, side - 9, side - 9, 8)):
        draw.line(line, fill=GREY, width=2)
    return tile
