"""Colour: how much of a picture is in its palette alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from cf_pipeline.baselines.feature_set import FeatureSet
from cf_pipeline.vectors import Matrix, Progress, Vector, silent

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from cf_pipeline.vision.devices import Execution

_LONGEST_SIDE = 64
"""A palette needs no detail: pixels that a cover is scaled down to before they are counted."""


class Color(FeatureSet):
    """Joint RGB histograms.

    Every pixel counts, white margins and what stood behind transparency too. A row holds square
    roots of shares, so it has unit norm and the cosine of two is their Bhattacharyya coefficient.
    """

    name: str = "color"
    bins: int = Field(4, ge=2, le=16, description="Bins per channel of the RGB histogram.")

    def extract(
        self, paths: Sequence[Path], execution: Execution, progress: Progress = silent
    ) -> Matrix:
        """See FeatureSet; d = bins ** 3, and bin (r, g, b) is column (r bins + g) bins + b."""
        from cf_pipeline.vision.covers import map_covers, open_cover

        rows = map_covers(
            lambda row: self._histogram(open_cover(paths[row])),
            len(paths),
            execution.threads,
            progress,
        )
        return np.array(rows, dtype=np.float32).reshape(len(paths), self.bins**3)

    def _histogram(self, image: Image.Image) -> Vector:
        from PIL import Image

        image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0)
        pixels: npt.NDArray[np.int64] = np.asarray(image, dtype=np.int64).reshape(-1, 3)
        red, green, blue = (pixels * self.bins // 256).T
        columns = (red * self.bins + green) * self.bins + blue
        counts = np.bincount(columns, minlength=self.bins**3)
        return np.sqrt(counts / len(pixels)).astype(np.float32)
