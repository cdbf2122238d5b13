"""Features that know nothing: what any learned feature must beat.

Colour says how much of a picture is in its palette alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cf_pipeline.vectors import Matrix, Progress, Vector, silent
from cf_pipeline.vision.covers import map_covers, open_cover

_LONGEST_SIDE = 64
"""A palette needs no detail: pixels that a cover is scaled down to before they are counted."""


def color_histograms(
    paths: Sequence[Path], n_bins: int, n_threads: int = 1, progress: Progress = silent
) -> Matrix:
    """Joint RGB histograms of covers.

    Every pixel counts, white margins and what stood behind transparency too. A row holds square
    roots of shares, so it has unit norm and the cosine of two is their Bhattacharyya coefficient.

    Args:
        paths: readable covers.
        n_bins: equal bins per channel.
        n_threads: how many covers are decoded at once.
        progress: called as covers are done.

    Returns:
        float32, shape (len(paths), n_bins ** 3); bin (r, g, b) is column (r n_bins + g) n_bins + b.

    Raises:
        DataError: a cover does not decode (named).
    """
    rows = map_covers(
        lambda row: _color_histogram(open_cover(paths[row]), n_bins),
        len(paths),
        n_threads,
        progress,
    )
    return np.array(rows, dtype=np.float32).reshape(len(paths), n_bins**3)


def _color_histogram(image: Image.Image, n_bins: int) -> Vector:
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0)
    pixels: npt.NDArray[np.int64] = np.asarray(image, dtype=np.int64).reshape(-1, 3)
    red, green, blue = (pixels * n_bins // 256).T
    counts = np.bincount((red * n_bins + green) * n_bins + blue, minlength=n_bins**3)
    return np.sqrt(counts / len(pixels)).astype(np.float32)
