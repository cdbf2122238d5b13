"""Covers as a smooth function of factors.

A cover is a colored ground with stripes, a blob and noise. Each dimension of the factor moves one
channel (angle of the stripes, height of the blob, ...). Angle and frequency of stripes of random
phase are out of reach of anything linear in the pixels, and only the hues show in a color
histogram. Mirror images mean the same, so flipping a cover while training is harmless.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cf_pipeline.vectors import Indices, Matrix, Vector

Images = npt.NDArray[np.uint8]
"""uint8, shape (n, size, size, 3), RGB."""

CHANNELS = (
    "stripe angle",
    "blob height",
    "background hue",
    "stripe frequency",
    "blob size",
    "blob offset",
    "blob hue",
    "blob elongation",
)
CHUNK = 256
"""Covers drawn at once; fixed, because pixel noise is drawn per chunk."""


@dataclass(frozen=True)
class Scenes:
    """Everything about n covers but their pixel noise.

    Attributes:
        channels: float32 in [-1, 1], shape (n, 8), columns as in CHANNELS.
        phase: float32 radians of the stripes, shape (n,).
        mirror: float32, 1 or -1, shape (n,); -1 draws the cover mirrored.
        light: float32 offset of brightness, shape (n,).
        hue_shift: float32 offset of the ground's hue in turns, shape (n,).
        waves: float32, shape (n, 2, 3): two faint waves as frequency x, frequency y, phase.
    """

    channels: Matrix
    phase: Vector
    mirror: Vector
    light: Vector
    hue_shift: Vector
    waves: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.channels)

    def take(self, rows: Indices | slice) -> Scenes:
        """The scenes of these rows; a row may be asked for twice."""
        return Scenes(
            self.channels[rows],
            self.phase[rows],
            self.mirror[rows],
            self.light[rows],
            self.hue_shift[rows],
            self.waves[rows],
        )


def compose(factors: Matrix, rng: np.random.Generator) -> Scenes:
    """Scenes that show these factors.

    Args:
        factors: float32 of unit length, shape (n, k), k at most 8. Channels beyond k are drawn at
            random and mean nothing.
        rng: draws all that is not the factor's.
    """
    n, k = factors.shape
    channels = rng.uniform(-1, 1, (n, len(CHANNELS))).astype(np.float32)
    # A coordinate of a unit vector is about 1 / sqrt(k) long: stretched to use the whole channel.
    channels[:, :k] = np.tanh(0.6 * np.sqrt(k) * factors)
    return Scenes(
        channels=channels,
        phase=_uniform(rng, 0, 2 * np.pi, n),
        mirror=np.where(rng.random(n) < 0.5, -1, 1).astype(np.float32),
        light=_uniform(rng, -0.06, 0.06, n),
        hue_shift=_uniform(rng, -0.04, 0.04, n),
        waves=np.stack(
            [
                _uniform(rng, -5, 5, (n, 2)),
                _uniform(rng, -5, 5, (n, 2)),
                _uniform(rng, 0, 2 * np.pi, (n, 2)),
            ],
            axis=-1,
        ),
    )


def render(
    scenes: Scenes, size: int, noise: float, rng: np.random.Generator
) -> Iterator[tuple[int, Images]]:
    """Draws covers in chunks of 256, so that memory does not grow with their number.

    Args:
        scenes: n covers.
        size: side in pixels.
        noise: standard deviation of a pixel's noise, 1 being full range.
        rng: draws the noise.

    Yields:
        The row of a chunk's first cover, and its images.
    """
    for start in range(0, len(scenes), CHUNK):
        clean = _draw(scenes.take(slice(start, start + CHUNK)), size)
        clean += noise * rng.standard_normal(clean.shape, dtype=np.float32)
        yield start, (255 * np.clip(clean, 0, 1) + 0.5).astype(np.uint8)


def _draw(scenes: Scenes, size: int) -> npt.NDArray[np.float32]:
    """Covers without noise, float32 in about [0, 1], shape (n, size, size, 3)."""
    angle, height, hue, frequency, blob_size, offset, blob_hue, elongation = (
        column[:, None, None] for column in scenes.channels.T
    )
    axis = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1).astype(np.float32)
    y = axis[None, :, None]
    x = axis[None, None, :] * scenes.mirror[:, None, None]  # (n, 1, size)

    ground = _color(hue[..., None] * 0.3 + scenes.hue_shift[:, None, None, None])
    turn = np.pi / 4 * (1 + 0.9 * angle)  # a quarter turn: beyond it, the mirror image takes over
    cycles = 2.2 * 1.7**frequency  # per half a side: 1.3 to 3.7
    stripes = np.sin(
        2 * np.pi * cycles * (x * np.cos(turn) + y * np.sin(turn)) + scenes.phase[:, None, None]
    )
    ground = ground + 0.17 * stripes[..., None] + scenes.light[:, None, None, None]

    radius = 0.34 * 1.6**blob_size
    stretch = 1.5**elongation
    distance = np.hypot(
        (x - 0.3 - 0.3 * offset) / (radius * stretch), (y - 0.55 * height) / (radius / stretch)
    )
    # A soft edge of about two pixels, so that a small move of the factor moves the pixels little.
    inside = 1 / (1 + np.exp(np.clip((distance - 1) * 12, -30, 30)))
    blob = _color(0.5 + 0.5 * blob_hue[..., None]) * 0.5 + 0.4
    picture = ground + inside[..., None] * (blob - ground)
    return np.asarray(picture + _texture(scenes.waves, x, y)[..., None], dtype=np.float32)


def _texture(
    waves: npt.NDArray[np.float32], x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Two faint waves a cover, which tell covers of equal factors apart; shape (n, size, size)."""
    texture = np.zeros((len(waves), y.shape[1], x.shape[2]), dtype=np.float32)
    for fx, fy, phase in waves.transpose(1, 2, 0)[..., None, None]:
        texture += 0.06 * np.sin(np.pi * (fx * x + fy * y) + phase)
    return texture


def _color(turns: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """RGB of a hue in turns, of about equal brightness all around; (..., 1) to (..., 3)."""
    thirds = np.array([0, 1 / 3, 2 / 3], dtype=np.float32)
    return np.asarray(0.5 + 0.22 * np.cos(2 * np.pi * (turns - thirds)), dtype=np.float32)


def _uniform(
    rng: np.random.Generator, low: float, high: float, shape: int | tuple[int, ...]
) -> npt.NDArray[np.float32]:
    return rng.uniform(low, high, shape).astype(np.float32)
