import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cf_pipeline.errors import DataError
from cf_pipeline.vision.config import CoversConfig
from cf_pipeline.vision.covers import (
    decode_covers,
    inspect_cover,
    inspect_covers,
    map_covers,
    open_cover,
)
from cf_pipeline.vision.geometry import fit_cover, square
from cf_pipeline_tests.vision.pictures import BLUE, GREEN, RED, WHITE, noise, saved

MAX_PIXELS = CoversConfig().max_pixels


class TestInspection:
    @pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "bmp", "tiff", "ppm", "avif"])
    def test_ordinary_covers_are_ok(self, tmp_path, ending):
        path = saved(noise(), tmp_path / f"cover.{ending}")
        found = inspect_cover(path, MAX_PIXELS)
        assert (found.status, found.reason) == ("ok", None)
        assert (found.width, found.height) == (40, 30)
        assert found.format == Image.registered_extensions()[f".{ending}"]
        assert found.signature.thumbnail.shape == (32, 32, 3)

    def test_no_cover_named_and_no_file_are_missing(self, tmp_path):
        assert inspect_cover(None, MAX_PIXELS).status == "missing"
        gone = inspect_cover(tmp_path / "gone.png", MAX_PIXELS)
        assert gone.status == "missing"
        assert "there is none" in gone.reason
        file = saved(noise(), tmp_path / "cover.png")
        assert inspect_cover(file / "below.png", MAX_PIXELS).status == "missing"
        assert inspect_cover(tmp_path / "a\0b.png", MAX_PIXELS).status == "missing"

    def test_a_folder_or_a_pipe_is_missing_and_blocks_nobody(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.png")
        for path in (tmp_path, tmp_path / "pipe.png"):
            found = inspect_cover(path, MAX_PIXELS)
            assert found.status == "missing"
            assert "folder or a device" in found.reason

    def test_an_empty_file_is_unreadable(self, tmp_path):
        (tmp_path / "cover.png").touch()
        found = inspect_cover(tmp_path / "cover.png", MAX_PIXELS)
        assert (found.status, found.reason) == (
            "unreadable",
            "expected an image, came an empty file",
        )

    def test_what_is_no_image_is_unreadable_and_shows_its_head(self, tmp_path):
        path = tmp_path / "cover.jpg"
        path.write_text("<!DOCTYPE html>")
        found = inspect_cover(path, MAX_PIXELS)
        assert found.status == "unreadable"
        assert "no decoder recognizes" in found.reason
        assert "<!DOCTYPE ht" in found.reason

    def test_formats_that_start_programs_are_not_opened(self, tmp_path):
        path = tmp_path / "cover.eps"
        path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
        assert inspect_cover(path, MAX_PIXELS).status == "unreadable"

    @pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "bmp", "tiff", "ppm", "avif"])
    def test_truncated_covers_are_unreadable(self, tmp_path, ending):
        path = saved(noise(), tmp_path / f"cover.{ending}")
        whole = path.read_bytes()
        for share in (0.1, 0.5, 0.9):
            path.write_bytes(whole[: int(share * len(whole))])
            found = inspect_cover(path, MAX_PIXELS)
            assert found.status == "unreadable", share
            assert found.reason.startswith("expected")

    def test_a_mislabelled_cover_is_ok_and_says_what_it_is(self, tmp_path):
        path = saved(noise(), tmp_path / "cover.png", format="JPEG")
        found = inspect_cover(path, MAX_PIXELS)
        assert (found.status, found.format) == ("ok", "JPEG")
        assert found.reason == "named .png, but the content is JPEG"

    def test_broken_exif_leaves_the_picture_as_stored(self, tmp_path):
        path = saved(noise(), tmp_path / "cover.jpg", exif=b"Exif\0\0not a TIFF header")
        found = inspect_cover(path, MAX_PIXELS)
        assert (found.status, found.width) == ("ok", 40)

    def test_all_of_them_in_order_with_progress(self, tmp_path):
        paths = [saved(noise(seed=i), tmp_path / f"{i}.png") for i in range(70)]
        paths[33] = None
        seen = []
        found = inspect_covers(
            paths, MAX_PIXELS, 2, lambda done, total, _: seen.append((done, total))
        )
        assert [f.status for f in found].count("ok") == 69
        assert found[33].status == "missing"
        assert found[40].signature.pixels == inspect_cover(paths[40], MAX_PIXELS).signature.pixels
        assert seen[-1] == (70, 70)
        assert inspect_covers([], MAX_PIXELS) == []

    def test_a_cover_of_other_bytes_and_equal_pixels_has_the_same_pixel_hash(self, tmp_path):
        png = inspect_cover(saved(noise(), tmp_path / "a.png"), MAX_PIXELS).signature
        bmp = inspect_cover(saved(noise(), tmp_path / "b.bmp"), MAX_PIXELS).signature
        assert png.pixels == bmp.pixels
        turned = inspect_cover(saved(noise(30, 40), tmp_path / "c.png"), MAX_PIXELS).signature
        assert png.pixels != turned.pixels


class TestOpening:
    def test_errors_name_the_file_and_the_remedy(self, tmp_path):
        with pytest.raises(DataError, match=r"gone\.png: expected a file.*Put the file back"):
            open_cover(tmp_path / "gone.png")
        (tmp_path / "empty.png").touch()
        with pytest.raises(DataError, match=r"empty\.png: .*empty file\. Replace the file"):
            open_cover(tmp_path / "empty.png")

    def test_a_limit_holds_here_too(self, tmp_path):
        path = saved(noise(), tmp_path / "cover.png")
        with pytest.raises(DataError, match="at most 5 pixels"):
            open_cover(path, max_pixels=5)


class TestFit:
    def test_crop_takes_the_middle(self):
        image = Image.new("RGB", (300, 100), WHITE)
        image.paste(RED, (100, 0, 200, 100))
        # Antialiasing looks across the edge of the box.
        assert (fit_cover(image, square(20), "crop")[:, 1:-1] == RED).all()
        small = image.resize((30, 10), Image.Resampling.NEAREST)
        assert (fit_cover(small, square(10), "crop") == RED).all()

    def test_pad_centres_on_white(self):
        fitted = fit_cover(Image.new("RGB", (100, 50), RED), square(20), "pad")
        assert (fitted[5:15] == RED).all()
        assert (fitted[:5] == WHITE).all()
        assert (fitted[15:] == WHITE).all()

    def test_squash_keeps_everything(self):
        image = Image.new("RGB", (200, 50), RED)
        image.paste(BLUE, (100, 0, 200, 50))
        fitted = fit_cover(image, square(20), "squash")
        assert (fitted[:, :9] == RED).all()
        assert (fitted[:, 11:] == BLUE).all()

    @given(
        width=st.integers(1, 90),
        height=st.integers(1, 90),
        size=st.integers(1, 64),
        fit=st.sampled_from(["crop", "pad", "squash"]),
    )
    @settings(max_examples=60, deadline=None)
    def test_any_size_becomes_a_square_without_ringing_in_flat_pictures(
        self, width, height, size, fit
    ):
        fitted = fit_cover(Image.new("RGB", (width, height), BLUE), square(size), fit)
        assert (fitted.shape, fitted.dtype) == ((size, size, 3), np.uint8)
        is_blue = (fitted == BLUE).all(axis=2)
        assert is_blue.any()
        if fit == "pad":
            assert (fitted[~is_blue] == 255).all()
        else:
            assert is_blue.all()

    def test_a_picture_of_the_right_size_is_left_alone(self):
        image = noise(32, 32)
        for fit in ("crop", "pad", "squash"):
            assert (fit_cover(image, square(32), fit) == np.asarray(image)).all()

    def test_downscaling_is_antialiased(self):
        checkers = np.indices((256, 256)).sum(axis=0) % 2 * 255
        image = Image.fromarray(checkers.astype(np.uint8)).convert("RGB")
        assert np.ptp(fit_cover(image, square(32), "squash")[4:-4, 4:-4].astype(int)) <= 4

    @pytest.mark.parametrize("size", [(2_000_000, 1), (1, 2_000_000)])
    @pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
    def test_ribbons_cost_no_memory(self, size, fit):
        # Scaling the short side first would make 128 x 256,000,000 pixels.
        assert fit_cover(Image.new("RGB", size, GREEN), square(128), fit).shape == (128, 128, 3)


class TestDecodeCovers:
    def test_rows_are_the_fitted_covers(self, tmp_path):
        paths = [saved(noise(20 + i, 30, seed=i), tmp_path / f"{i}.png") for i in range(40)]
        seen = []
        pixels = decode_covers(
            paths, square(16), "crop", tmp_path / "covers", 2, lambda *step: seen.append(step[0])
        )
        assert (pixels.shape, pixels.dtype) == ((40, 16, 16, 3), np.uint8)
        for row, path in enumerate(paths):
            assert (pixels[row] == fit_cover(open_cover(path), square(16), "crop")).all()
        assert seen[-1] == 40
        assert (np.load(tmp_path / "covers") == pixels).all()

    def test_writing_into_it_leaves_the_file_alone(self, tmp_path):
        path = saved(noise(), tmp_path / "a.png")
        pixels = decode_covers([path], square(8), "pad", tmp_path / "covers.npy")
        before = pixels.copy()
        pixels[:] = 0
        assert (np.load(tmp_path / "covers.npy") == before).all()

    def test_no_covers(self, tmp_path):
        assert decode_covers([], square(8), "pad", tmp_path / "covers.npy").shape == (0, 8, 8, 3)

    def test_a_cover_that_went_bad_is_named_and_nothing_is_left(self, tmp_path):
        good = saved(noise(), tmp_path / "good.png")
        (tmp_path / "bad.png").write_bytes(good.read_bytes()[:60])
        with pytest.raises(DataError, match=r"bad\.png"):
            decode_covers([good, tmp_path / "bad.png"], square(8), "pad", tmp_path / "covers.npy")
        assert not (tmp_path / "covers.npy").exists()

    def test_more_than_the_disk_holds_is_refused_before_anything_is_written(self, tmp_path):
        path = saved(noise(), tmp_path / "a.png")
        size = int((shutil.disk_usage(tmp_path).free / 3) ** 0.5) + 1
        with pytest.raises(DataError, match="Make room"):
            decode_covers([path], square(size), "pad", tmp_path / "covers.npy")
        assert not (tmp_path / "covers.npy").exists()


def test_map_covers_keeps_order_and_raises_the_first_error():
    assert map_covers(lambda row: row * row, 100, 3) == [row * row for row in range(100)]

    def fail(row):
        if row >= 40:
            raise DataError(f"row {row}")

    with pytest.raises(DataError, match="row 40"):
        map_covers(fail, 1000, 2)
