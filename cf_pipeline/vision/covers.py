"""Cover files: checked, opened, fitted to a square.

A cover is decoded as `decoding` says; what does not decode is recorded with its reason and never
filled in. Pillow releases the GIL while it decodes, so threads use several cores. Pixels for
training go to a file, not to memory: a set of covers may be larger than it.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from cf_pipeline.errors import DataError
from cf_pipeline.vectors import Progress, silent
from cf_pipeline.vision.config import Fit
from cf_pipeline.vision.decoding import decode, set_up_pillow
from cf_pipeline.vision.geometry import Shape, fit_cover
from cf_pipeline.vision.looks import LookSignature, look_signature

T = TypeVar("T")

CoverStatus = Literal["ok", "missing", "unreadable"]

_COVERS_PER_CALL = 32
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class CoverInspection:
    """What one look at a cover file found.

    Attributes:
        status: `ok`, `missing` (no file) or `unreadable` (a file that does not decode).
        reason: why it is not `ok`; of an `ok` cover what is odd about the file, mostly None.
        width: in pixels, upright; None unless `ok`, as the next three.
        height: in pixels, upright.
        format: what the content is, in Pillow's words (`JPEG`), whatever the file is called.
        signature: what look groups are made of.
    """

    status: CoverStatus
    reason: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    signature: LookSignature | None = None


def open_cover(path: Path, max_pixels: int | None = None) -> Image.Image:
    """The cover as an upright RGB image over white.

    Args:
        path: the file.
        max_pixels: refuse more pixels than this before decoding; None for covers that
            `inspect_cover` let pass.

    Raises:
        DataError: it is missing or does not decode.
    """
    missing = _why_missing(path)
    if missing is not None:
        raise DataError(f"{path}: {missing}. Put the file back, or run the covers asset again.")
    try:
        return decode(path, max_pixels).image
    except DataError as error:
        raise DataError(f"{path}: {error}. Replace the file or leave the cover out.") from error


def inspect_cover(path: Path | None, max_pixels: int) -> CoverInspection:
    """Opens and decodes one cover, once, for its check and its look.

    Args:
        path: the file; None where the project names no cover.
        max_pixels: more pixels than this are refused from the header, before decoding.
    """
    missing = "no cover is named" if path is None else _why_missing(path)
    if path is None or missing is not None:
        return CoverInspection("missing", missing)
    try:
        decoded = decode(path, max_pixels)
    except DataError as error:
        return CoverInspection("unreadable", str(error))
    width, height = decoded.image.size
    signature = look_signature(decoded.image)
    return CoverInspection("ok", decoded.note, width, height, decoded.format, signature)


def inspect_covers(
    paths: Sequence[Path | None],
    max_pixels: int,
    n_threads: int = 1,
    progress: Progress = silent,
) -> list[CoverInspection]:
    """`inspect_cover` of every path, in their order."""
    set_up_pillow(max_pixels)
    return map_covers(
        lambda row: inspect_cover(paths[row], max_pixels), len(paths), n_threads, progress
    )


def map_covers(
    function: Callable[[int], T], n_covers: int, n_threads: int = 1, progress: Progress = silent
) -> list[T]:
    """function(0), …, function(n_covers - 1), computed by threads, in order.

    `progress` is called from the calling thread. The first error that a call raises is raised
    here, and calls that have not begun are dropped.
    """
    starts = range(0, n_covers, _COVERS_PER_CALL)

    def some(start: int) -> list[T]:
        return [function(row) for row in range(start, min(start + _COVERS_PER_CALL, n_covers))]

    results: list[T] = []
    executor = ThreadPoolExecutor(max_workers=n_threads, thread_name_prefix="covers")
    try:
        for part in executor.map(some, starts):
            results += part
            progress(len(results), n_covers, {})
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    return results


def _why_missing(path: Path) -> str | None:
    """Why there is no file to open; None where there is one."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "expected a file, there is none at this path"
    except OSError as error:
        return f"expected a file, its folder cannot be read: {error.strerror}"
    # A pipe or a device would block the reader for ever.
    return None if stat.S_ISREG(mode) else "expected a file, came a folder or a device"


def decode_covers(
    paths: Sequence[Path],
    shape: Shape,
    fit: Fit,
    destination: Path,
    n_threads: int = 1,
    progress: Progress = silent,
) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
    """Every cover fitted, written to a NumPy file.

    Args:
        paths: covers that were found readable.
        shape: height and width of each in pixels.
        fit: see `fit_cover`.
        destination: the `.npy` file to write, in a folder that was handed in; replaced if there.
        n_threads: how many decode at once.
        progress: called as covers are done.

    Returns:
        uint8 of shape (n, height, width, 3) on that file, copy-on-write: it can be written to in
        memory and never changes the file.

    Raises:
        DataError: a cover does not decode (named), or the disk has no room. No file is left.
    """
    whole = (len(paths), *shape, 3)
    room = shutil.disk_usage(destination.parent).free
    if room < int(np.prod(whole)) + _SPARE_BYTES:
        # A full disk would end the process by a signal when a mapped page is written.
        raise DataError(
            f"{destination.parent}: {len(paths)} covers of {shape.height} x {shape.width} pixels "
            f"need {np.prod(whole) / 2**20:.0f} MB, {room / 2**20:.0f} MB are free. Make room, or "
            "use a smaller image size."
        )
    pixels = np.lib.format.open_memmap(destination, mode="w+", dtype=np.uint8, shape=whole)

    def fit_one(row: int) -> None:
        pixels[row] = fit_cover(open_cover(paths[row]), shape, fit)

    try:
        map_covers(fit_one, len(paths), n_threads, progress)
        pixels.flush()
    except BaseException:
        destination.unlink()
        raise
    return np.lib.format.open_memmap(destination, mode="c")
