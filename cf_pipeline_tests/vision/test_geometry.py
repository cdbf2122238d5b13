"""The shape of an input, and what of a cover is lost on the way to it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.geometry import Shape, fit_cover, input_shape, shape_like, square

RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [
        (2 / 3, Shape(240, 160)),
        (1.0, Shape(192, 192)),
        (0.93, Shape(192, 192)),
        (3 / 2, Shape(160, 240)),
        (0.01, Shape(272, 128)),
        (100.0, Shape(128, 272)),
    ],
)
def test_the_shape_follows_the_median_cover(aspect, shape):
    assert shape_like(aspect, 192) == shape


@settings(deadline=None)
@given(aspect=st.floats(0.5, 2), side=st.integers(64, 512))
def test_a_shape_has_about_as_many_pixels_as_the_square(aspect, side):
    height, width = shape_like(aspect, side)
    assert height * width == pytest.approx(side**2, rel=0.35)
    assert max(width / height / aspect, aspect / (width / height)) < 1.35


def test_only_whole_covers_where_any_shape_is_taken_give_their_shape():
    assert input_shape(VisionConfig(), 2 / 3) == Shape(240, 160)
    assert input_shape(VisionConfig(fit="crop"), 2 / 3) == square(192)
    fixed = {"name": "timm:vit_small_patch14_dinov2", "weights": "random"}
    assert input_shape(VisionConfig(backbone=fixed), 2 / 3) == square(518)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    shape=st.builds(Shape, st.integers(1, 64), st.integers(1, 64)),
)
def test_whole_crops_a_tenth_of_a_side_at_most_and_else_fills_up(width, height, shape):
    fitted = fit_cover(Image.new("RGB", (width, height), RED), shape, "whole")
    assert (fitted.shape, fitted.dtype) == ((*shape, 3), np.uint8)
    is_red = (fitted == RED).all(axis=2)
    stretch = (width / height) / (shape.width / shape.height)
    if 1 - min(stretch, 1 / stretch) <= 0.1:
        assert is_red.all()
    else:
        assert is_red.any()
        assert (fitted[~is_red] == WHITE).all()


def test_crop_and_pad_in_a_shape_that_is_no_square():
    image = Image.new("RGB", (60, 60), WHITE)
    image.paste(RED, (10, 0, 50, 60))
    # Two thirds of the width is what a shape of that aspect takes.
    assert (fit_cover(image, Shape(30, 20), "crop")[:, 1:-1] == RED).all()
    padded = fit_cover(Image.new("RGB", (60, 60), RED), Shape(30, 20), "pad")
    assert (padded[5:25] == RED).all()
    assert (padded[:5] == WHITE).all()
    assert (padded[25:] == WHITE).all()
