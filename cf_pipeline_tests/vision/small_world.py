"""A few dozen covers that say where their project lies: colour and place follow the factors."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.devices import Execution
from cf_pipeline.vision.examples import Examples

N_FACTORS = 4

SCRATCH = VisionConfig(
    backbone="resnet_small",
    objective="contrastive",
    image_size=32,
    epochs=8,
    batch_size=32,
    crop_area=0.8,
)
"""The small network, fast enough to be trained in a test; where a disc lies is left to be seen."""


def changed(**values) -> VisionConfig:
    """The same with other values."""
    return VisionConfig(**{**SCRATCH.model_dump(), **values})


def draw_cover(factor, path):
    """A disc on a ground; the first three factors colour the ground, the last lifts the disc."""
    ground = tuple(int(c) for c in np.clip(128 + 50 * factor[:3], 0, 255))
    image = Image.new("RGB", (48, 48), ground)
    y = float(np.clip(24 + 9 * factor[3], 6, 42))
    ImageDraw.Draw(image).ellipse((18, y - 6, 30, y + 6), fill="black")
    image.save(path)
    return path


def examples(folder: Path, n: int, seed: int = 0) -> Examples:
    """n covers and their factors."""
    folder.mkdir(parents=True, exist_ok=True)
    factors = np.random.default_rng(seed).normal(size=(n, N_FACTORS)).astype(np.float32)
    paths = tuple(draw_cover(f, folder / f"{i:03}.png") for i, f in enumerate(factors))
    return Examples(paths, factors)


def shuffled(given: Examples, seed: int = 0) -> Examples:
    """The same covers with each other's factors."""
    return Examples(given.paths, np.random.default_rng(seed).permutation(given.factors))


def on_cpu(scratch: Path, batch_size: int = 64) -> Execution:
    return Execution(torch.device("cpu"), 1, scratch, batch_size)
