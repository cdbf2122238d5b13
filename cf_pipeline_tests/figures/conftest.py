"""How the tests look at a picture."""

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def look():
    """Decodes PNG bytes, checks what holds for every picture, returns uint8 (height, width, 3)."""

    def decode(data):
        assert len(data) < 100_000
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "PNG"
            assert 300 <= image.width <= 1200
            assert 50 <= image.height <= 1200
            pixels = np.asarray(image.convert("RGB"))
        assert pixels.std() > 1, "nothing but background"
        return pixels

    return decode


@pytest.fixture
def share():
    """Share of pixels near a color such as '#2f6690'; a thin line is a blend with white."""

    def of(pixels, color, within=40):
        rgb = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)])
        return (np.abs(pixels.astype(int) - rgb).max(axis=2) < within).mean()

    return of
