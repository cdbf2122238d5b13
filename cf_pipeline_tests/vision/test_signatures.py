from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cf_pipeline.vision.config import CoversConfig
from cf_pipeline.vision.looks import assign_looks, look_signature, perceptual_hash
from cf_pipeline_tests.vision.pictures import dot, drawing, star


def are_alike(one, other):
    signatures = [look_signature(one), look_signature(other)]
    _, components = assign_looks(["one", "other"], signatures, CoversConfig())
    return len(set(components)) == 1


class TestWhatLooksAlike:
    def test_other_size_and_lossy_encoding(self, tmp_path):
        drawing().save(tmp_path / "a.jpg", quality=60)
        with Image.open(tmp_path / "a.jpg") as encoded:
            assert are_alike(drawing(), encoded.convert("RGB"))
        for side in (24, 48, 400):
            assert are_alike(drawing(), drawing(side=side)), side

    def test_a_small_change(self):
        changed = drawing()
        ImageDraw.Draw(changed).ellipse((60, 60, 66, 66), fill="black")
        assert are_alike(drawing(), changed)

    @pytest.mark.parametrize(("one", "other"), combinations(range(5), 2))
    def test_different_drawings_do_not(self, one, other):
        assert not are_alike(drawing(one), drawing(other))

    def test_another_colour_does_not(self):
        red, green, blue = drawing().split()
        assert not are_alike(drawing(), Image.merge("RGB", (blue, green, red)))

    def test_near_blank_covers_with_different_dots_do_not(self):
        assert not are_alike(dot(20, 20), dot(90, 60))
        assert not are_alike(dot(60, 60), dot(68, 60))
        assert not are_alike(dot(60, 60), Image.new("RGB", (128, 128), "white"))
        assert are_alike(dot(60, 60), dot(60, 60).resize((64, 64)))

    def test_blank_covers_look_alike_at_any_proportions_if_of_one_colour(self):
        white = Image.new("RGB", (100, 100), "white")
        assert are_alike(white, Image.new("RGB", (100, 10), "white"))
        assert are_alike(white, Image.new("RGB", (100, 100), (252, 252, 252)))
        assert not are_alike(white, Image.new("RGB", (100, 100), "red"))

    def test_a_circle_is_no_ellipse(self):
        assert are_alike(drawing(), drawing(proportions=1.1))
        assert not are_alike(drawing(), drawing(proportions=2.0))

    def test_tiny_covers(self):
        one = Image.new("RGB", (1, 1), "red")
        assert are_alike(one, Image.new("RGB", (3, 2), "red"))


class TestHash:
    def test_a_flat_picture_hashes_to_zero(self):
        for value in (0, 77, 255):
            assert perceptual_hash(np.full((32, 32, 3), value, dtype=np.uint8)) == 0

    def test_symmetric_drawings_that_look_alike_are_close(self):
        """With the usual median threshold most of these pairs are further apart."""
        hashes = [look_signature(star(n, 10)).hash for n in range(40, 60)]
        distances = [(a ^ b).bit_count() for a, b in combinations(hashes, 2)]
        assert max(distances) <= 8

    def test_different_drawings_are_far(self):
        hashes = [look_signature(drawing(seed)).hash for seed in range(20)]
        assert np.median([(a ^ b).bit_count() for a, b in combinations(hashes, 2)]) > 16
