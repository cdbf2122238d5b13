"""One picture file decoded by Pillow, whatever it holds, to RGB.

Only formats that need no outside program; first frame, upright by its EXIF orientation, over
white; colour profiles are not applied. What does not decode to its end is an error that says
what was expected and what came.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from cf_pipeline.errors import DataError

_FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "QOI", "TIFF", "WEBP"),
)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each value of the EXIF tag Orientation (1 is upright)."""


def set_up_pillow(max_pixels: int | None) -> None:
    """Pillow's process-wide settings, as covers need them; set once, not by every thread.

    Truncated files are errors, its warnings are not heard: `decode` says what is wrong with a file.

    Args:
        max_pixels: what a picture inside a picture, as in ICO, must not have twice of. A file's own
            header is looked at by `decode`, exactly. None: covers that were found readable.
    """
    Image.MAX_IMAGE_PIXELS = max_pixels
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    warnings.filterwarnings("ignore", module=r"PIL\.")


set_up_pillow(None)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture.

    Attributes:
        image: RGB.
        format: what the content is, in Pillow's words.
        note: what is odd about the file, None if nothing is.
    """

    image: Image.Image
    format: str
    note: str | None


@cache
def _formats() -> tuple[str, ...]:
    """Formats that this Pillow was built with, out of those that need no outside program."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def suffixes() -> tuple[str, ...]:
    """How names of pictures that `decode` reads end, in lower case, sorted."""
    known, formats = Image.registered_extensions(), _formats()
    return tuple(sorted(suffix for suffix, name in known.items() if name in formats))


def decode(path: Path, max_pixels: int | None) -> Decoded:
    """Decodes a file that exists.

    Raises:
        DataError: what was expected and what came, without the path.
    """
    kind = "image"
    try:
        if path.stat().st_size == 0:
            raise DataError("expected an image, came an empty file")
        with Image.open(path, formats=_formats()) as image:
            kind = str(image.format)
            _refuse_size(image, max_pixels)
            image.load()
            _refuse_size(image, max_pixels)
            upright, exif_note = _upright(image)
            rgb = _over_white(upright)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(
            f"expected at most {max_pixels or Image.MAX_IMAGE_PIXELS} pixels (covers.max_pixels), "
            f"came more: {error}"
        ) from None
    except UnidentifiedImageError:
        raise DataError(
            f"expected an image ({', '.join(_formats())}), no decoder recognizes the content, "
            f"which begins with {_head(path)!r}"
        ) from None
    # Decoders meet hostile bytes with whatever exception lies nearest; each is this file's fault.
    except Exception as error:
        said = str(error) or type(error).__name__
        raise DataError(
            f"expected a {kind} that decodes to its end, the decoder says: {said}"
        ) from error
    notes = [note for note in (_mislabelled(path, kind), exif_note) if note is not None]
    return Decoded(rgb, kind, "; ".join(notes) or None)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(12)


def _refuse_size(image: Image.Image, max_pixels: int | None) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise DataError(f"expected at least one pixel, came {width} x {height}")
    if max_pixels is not None and width * height > max_pixels:
        raise DataError(
            f"expected at most {max_pixels} pixels (covers.max_pixels), came {width} x {height}"
        )


def _upright(image: Image.Image) -> tuple[Image.Image, str | None]:
    """The image as its EXIF orientation wants it seen, and a note where EXIF cannot be read."""
    try:
        method = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception as error:  # EXIF is a TIFF inside, with as many ways to be broken
        return image, f"EXIF cannot be read ({error}), orientation ignored"
    return (image if method is None else image.transpose(method)), None


def _over_white(image: Image.Image) -> Image.Image:
    """Any mode of Pillow's as RGB, transparency over white."""
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 or 32 bits in 8: from 0..65535, else from its own lowest to highest."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I") and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return Image.fromarray(np.round(scaled * 255).astype(np.uint8))


def _mislabelled(path: Path, kind: str) -> str | None:
    """A note where the file's ending promises another format than its content has."""
    promised = Image.registered_extensions().get(path.suffix.lower())
    same = {"MPO": "JPEG", "DIB": "BMP"}  # written with the other's ending as a rule
    if promised is None or same.get(kind, kind) == same.get(promised, promised):
        return None
    return f"named {path.suffix}, but the content is {kind}"
