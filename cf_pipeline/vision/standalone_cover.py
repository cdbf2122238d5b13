"""A picture file as the network beside this file sees it; needs Pillow and NumPy, nothing else.

`cf-pipeline export model` writes this file as `cover.py` into the folder of an exported model. What
it does stands in `preprocessing.json`; it is what covers got in training: the first frame, upright
by its EXIF orientation, over white, no colour profile applied, bicubic and antialiased.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

# Only what Python, NumPy and Pillow have: this file is read where nothing else of its project is.
# `geometry` and `decoding` do the same; every export compares the pixels, and so do the tests.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def normalized(file: str | Path, settings: str = "preprocessing.json") -> npt.NDArray[np.float32]:
    """A picture as float32 (3, height, width): RGB, minus the mean, divided by the deviation.

    Args:
        file: of the picture.
        settings: name of the JSON file, beside this one.
    """
    how = _read(settings)
    mean, std = (np.array(how[name], dtype=np.float32) for name in ("mean", "std"))
    values = (pixels(file, settings).astype(np.float32) - mean) / std
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def pixels(file: str | Path, settings: str = "preprocessing.json") -> npt.NDArray[np.uint8]:
    """A picture as uint8 (height, width, 3), RGB; arguments as `normalized` has."""
    with Image.open(file) as image:
        return prepared(image, _read(settings))


def prepared(image: Image.Image, how: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """An opened picture by settings, uint8 (height, width, 3)."""
    image.load()
    return fitted(over_white(upright(image)), how)


def upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF orientation wants it seen."""
    try:
        method = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # EXIF is a TIFF inside: where it is broken, the image is taken as it lies
        return image
    return image if method is None else image.transpose(method)


def over_white(image: Image.Image) -> Image.Image:
    """Any mode of Pillow's as RGB, transparency over white."""
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def fitted(image: Image.Image, how: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """An RGB image in the shape that the settings name, uint8 (height, width, 3)."""
    height, width, fit = how["height"], how["width"], how["fit"]
    scale = {"resample": Image.Resampling.BICUBIC, "reducing_gap": how["reducing_gap"]}
    # How many pixels of the image one of the result stands for, along each side.
    down, across = image.height / height, image.width / width
    if fit == "whole":
        fit = "crop" if 1 - min(down, across) / max(down, across) <= how["max_crop"] else "pad"
    if fit == "pad":
        by = max(down, across)
        inner = (max(1, round(image.width / by)), max(1, round(image.height / by)))
        filled = Image.new("RGB", (width, height), "white")
        place = ((width - inner[0]) // 2, (height - inner[1]) // 2)
        filled.paste(image.resize(inner, **scale), place)
        return np.array(filled, dtype=np.uint8)
    box = None
    if fit == "crop":
        by = min(down, across)
        left = max(0.0, (image.width - by * width) / 2)
        top = max(0.0, (image.height - by * height) / 2)
        box = (left, top, image.width - left, image.height - top)
    return np.array(image.resize((width, height), box=box, **scale), dtype=np.uint8)


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 or 32 bits in 8: from 0..65535, else from its own lowest to highest."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I") and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return Image.fromarray(np.round(scaled * 255).astype(np.uint8))


def _read(settings: str) -> dict[str, Any]:
    how: dict[str, Any] = json.loads(Path(__file__).with_name(settings).read_text(encoding="utf-8"))
    return how
