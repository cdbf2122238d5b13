"""Covers small enough for one page: thumbnails, and atlases of all that are on the map."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cf_pipeline.vectors import Progress, silent
from cf_pipeline.vision.covers import map_covers, open_cover

THUMBNAIL_SIDE = 96
_THUMBNAIL_QUALITY = 70
_REDUCING_GAP = 3.0
_TILES = ((1_000, 72), (4_000, 56), (7_000, 48), (10_000, 44))
"""Up to so many covers on the map, the side of a tile in pixels."""
_MOST_ACROSS = 16_383
"""What WebP holds; browsers on phones decode as much."""
_QUALITIES = (70, 50, 30)
ATLAS_BYTES = 4_500_000
"""An atlas that is larger is encoded more coarsely: the page holds it as text, a third longer."""
_FILL = "white"


@dataclass(frozen=True)
class Thumbnail:
    """One small cover.

    Attributes:
        number: of the thumbnail on the page.
        width: in pixels.
        height: in pixels.
        webp: the encoded image.
    """

    number: int
    width: int
    height: int
    webp: bytes

    @property
    def uri(self) -> str:
        """The image as it stands in a page."""
        return data_uri(self.webp)


@dataclass(frozen=True)
class Atlas:
    """Tiles of all covers, row by row, on sheets.

    Attributes:
        side: of a tile in pixels.
        columns: tiles in a row.
        rows: rows on a full sheet.
        sizes: width and height of each cover inside its tile, in the middle of it, n pairs.
        sheets: WebP images.
    """

    side: int
    columns: int
    rows: int
    sizes: tuple[tuple[int, int], ...]
    sheets: tuple[bytes, ...]

    @property
    def uris(self) -> tuple[str, ...]:
        """The sheets as they stand in a page."""
        return tuple(data_uri(sheet) for sheet in self.sheets)


def thumbnails(
    paths: Mapping[str, Path],
    n_threads: int = 1,
    progress: Progress = silent,
    *,
    side: int = THUMBNAIL_SIDE,
) -> dict[str, Thumbnail]:
    """A thumbnail of each cover.

    Args:
        paths: project id to cover file, readable.
        n_threads: how many are decoded at once.
        progress: called as covers are done.
        side: what its longer side has at most, in pixels.

    Raises:
        DataError: a file is gone or does not decode any more.
    """
    files = list(paths.values())

    def encoded(row: int) -> Thumbnail:
        image = _shrunk(files[row], side)
        return Thumbnail(row, *image.size, _webp(image, _THUMBNAIL_QUALITY))

    return dict(zip(paths, map_covers(encoded, len(files), n_threads, progress), strict=True))


def atlas(
    paths: Sequence[Path],
    n_threads: int = 1,
    progress: Progress = silent,
    *,
    most_across: int = _MOST_ACROSS,
) -> Atlas:
    """Sheets of tiles, in the order given.

    Args:
        paths: n covers, readable, 10,000 at most.
        n_threads: how many are decoded at once.
        progress: called as covers are done.
        most_across: pixels that a side of a sheet may have.

    Raises:
        DataError: a file is gone or does not decode any more.
    """
    side = next((side for most, side in _TILES if len(paths) <= most), _TILES[-1][1])
    tiles = map_covers(lambda row: _shrunk(paths[row], side), len(paths), n_threads, progress)
    across = max(1, min(most_across // side, math.ceil(math.sqrt(len(tiles)))))
    on_a_sheet = across * across
    sheets = [
        _sheet(tiles[start : start + on_a_sheet], side, across)
        for start in range(0, len(tiles), on_a_sheet)
    ]
    encoded: tuple[bytes, ...] = ()
    for quality in _QUALITIES:
        encoded = tuple(_webp(sheet, quality) for sheet in sheets)
        if sum(map(len, encoded)) <= ATLAS_BYTES:
            break
    return Atlas(side, across, across, tuple(tile.size for tile in tiles), encoded)


def data_uri(webp: bytes) -> str:
    """A WebP image as text."""
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"


def _shrunk(path: Path, side: int) -> Image.Image:
    image = open_cover(path)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    return image


def _sheet(tiles: Sequence[Image.Image], side: int, across: int) -> Image.Image:
    sheet = Image.new("RGB", (across * side, math.ceil(len(tiles) / across) * side), _FILL)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, across)
        left = column * side + (side - tile.width) // 2
        sheet.paste(tile, (left, row * side + (side - tile.height) // 2))
    return sheet


def _webp(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=quality, method=4)
    return buffer.getvalue()
