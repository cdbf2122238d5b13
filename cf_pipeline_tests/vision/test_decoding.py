import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from cf_pipeline.vision.config import CoversConfig
from cf_pipeline.vision.covers import inspect_cover, inspect_covers, open_cover
from cf_pipeline_tests.vision.pictures import BLUE, GREEN, RED, WHITE, noise, saved

MAX_PIXELS = CoversConfig().max_pixels


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(path, width, height):
    """A PNG that promises width x height pixels and holds none."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b""))
    return path


def pixel(path, x, y):
    return open_cover(path).getpixel((x, y))


class TestLimits:
    @pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 1), (7072, 7071)])
    def test_a_bomb_is_refused_from_its_header(self, tmp_path, size):
        found = inspect_cover(bomb(tmp_path / "cover.png", *size), MAX_PIXELS)
        assert found.status == "unreadable"
        assert "expected at most 50000000 pixels (covers.max_pixels)" in found.reason

    def test_the_limit_is_exact(self, tmp_path):
        path = saved(noise(25, 13), tmp_path / "cover.png")
        assert inspect_cover(path, 25 * 13).status == "ok"
        found = inspect_cover(path, 25 * 13 - 1)
        assert found.status == "unreadable"
        assert "expected at most 324 pixels" in found.reason
        assert "came 25 x 13" in found.reason

    def test_a_bomb_inside_a_picture_is_refused_too(self, tmp_path):
        # The directory of an ICO promises 16 x 16; the PNG inside says what it is.
        png = bomb(tmp_path / "inner.png", 60_000, 60_000).read_bytes()
        entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(png), 22)
        path = tmp_path / "cover.ico"
        path.write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + png)
        (found,) = inspect_covers([path], MAX_PIXELS)
        assert found.status == "unreadable"
        assert "expected at most 50000000 pixels" in found.reason

    def test_pillow_is_set_up_once_for_all_threads(self, tmp_path):
        path = saved(noise(), tmp_path / "cover.png")
        inspect_covers([path], 1200)
        assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (1200, False)
        filters = list(warnings.filters)
        assert inspect_covers([path] * 3, 1200, n_threads=3)[2].status == "ok"
        assert open_cover(path).size == (40, 30)
        assert warnings.filters == filters

    def test_limits_of_threads_do_not_meet(self, tmp_path):
        path = saved(noise(), tmp_path / "cover.png")
        found = {}

        def inspect(limit):
            found[limit] = {inspect_cover(path, limit).status for _ in range(50)}

        threads = [threading.Thread(target=inspect, args=(limit,)) for limit in (100, 1200, 9999)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {100: {"unreadable"}, 1200: {"ok"}, 9999: {"ok"}}

    def test_a_picture_without_pixels_is_unreadable(self, tmp_path):
        found = inspect_cover(bomb(tmp_path / "cover.png", 0, 5), MAX_PIXELS)
        assert found.status == "unreadable"
        assert found.reason.startswith("expected")


class TestModes:
    def test_cmyk_adobe_and_plain(self, tmp_path):
        path = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path / "cover.jpg")
        red, green, blue = pixel(path, 4, 4)
        assert red > 240
        assert max(green, blue) < 20

    def test_transparency_stands_over_white(self, tmp_path):
        rgba = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
        rgba.putpixel((1, 0), (0, 0, 0, 0))
        path = saved(rgba, tmp_path / "a.png")
        assert (pixel(path, 0, 0), pixel(path, 1, 0)) == (RED, WHITE)
        path = saved(Image.new("RGBA", (1, 1), (0, 0, 0, 128)), tmp_path / "b.png")
        assert pixel(path, 0, 0) == (127, 127, 127)
        path = saved(Image.new("LA", (1, 1), (0, 0)), tmp_path / "c.png")
        assert pixel(path, 0, 0) == WHITE

    def test_palettes_with_transparency(self, tmp_path):
        image = Image.new("P", (3, 1))
        image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
        image.putdata([0, 1, 2])
        for name, transparency in (("a.png", 1), ("b.png", b"\xff\x00\xff"), ("c.gif", 1)):
            path = saved(image, tmp_path / name, transparency=transparency)
            assert [pixel(path, x, 0) for x in range(3)] == [RED, WHITE, BLUE], name

    def test_one_bit_and_grey_with_a_transparent_value(self, tmp_path):
        path = saved(Image.new("1", (4, 4), 1), tmp_path / "a.png")
        assert pixel(path, 0, 0) == WHITE
        path = saved(Image.new("L", (4, 4), 7), tmp_path / "b.png", transparency=7)
        assert pixel(path, 0, 0) == WHITE

    @pytest.mark.parametrize("name", ["a.png", "a.tiff"])
    def test_sixteen_bits_keep_their_brightness(self, tmp_path, name):
        values = np.array([[0, 32896, 65535]], dtype=np.uint16)
        path = saved(Image.fromarray(values), tmp_path / name)
        assert [pixel(path, x, 0)[0] for x in range(3)] == [0, 128, 255]

    def test_floats_are_stretched(self, tmp_path):
        values = np.array([[-1.0, 0.0, 1.0, np.nan]], dtype=np.float32)
        path = saved(Image.fromarray(values), tmp_path / "a.tiff")
        assert [pixel(path, x, 0)[0] for x in range(3)] == [0, 128, 255]
        flat = saved(Image.fromarray(np.zeros((2, 2), np.float32)), tmp_path / "b.tiff")
        assert inspect_cover(flat, MAX_PIXELS).status == "ok"

    @pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
    def test_the_first_frame_of_an_animation(self, tmp_path, name):
        frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN, BLUE)]
        options = {"lossless": True} if name.endswith("webp") else {}
        path = saved(frames[0], tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert pixel(path, 4, 4) == RED

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation(self, tmp_path, orientation):
        upright = Image.new("RGB", (16, 8), WHITE)
        upright.paste(RED, (0, 0, 8, 4))  # red is top left
        stored = {
            1: upright,
            2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
            3: upright.transpose(Image.Transpose.ROTATE_180),
            4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
            5: upright.transpose(Image.Transpose.TRANSPOSE),
            6: upright.transpose(Image.Transpose.ROTATE_90),
            7: upright.transpose(Image.Transpose.TRANSVERSE),
            8: upright.transpose(Image.Transpose.ROTATE_270),
        }[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = saved(stored, tmp_path / "cover.png", exif=exif)
        found = inspect_cover(path, MAX_PIXELS)
        assert (found.width, found.height) == (16, 8)
        assert (pixel(path, 1, 1), pixel(path, 14, 6)) == (RED, WHITE)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """One small file of every format, as bytes."""
    folder = tmp_path_factory.mktemp("samples")
    files = {}
    for ending in ("png", "jpg", "webp", "gif", "bmp", "tiff", "ico", "ppm"):
        path = folder / f"a.{ending}"
        noise(16, 16).save(path)
        files[ending] = path.read_bytes()
    return files


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_bytes_whatever_stop_an_inspection(samples, tmp_path_factory, data):
    ending = data.draw(st.sampled_from(sorted(samples)))
    content = bytearray(samples[ending])
    edits = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(edits, min_size=1, max_size=8)):
        content[place] = value
    path = tmp_path_factory.getbasetemp() / f"fuzzed.{ending}"
    path.write_bytes(content)
    found = inspect_cover(path, 10_000)
    assert found.status in {"ok", "unreadable"}
    assert (found.signature is None) == (found.status == "unreadable")
    assert found.status == "ok" or found.reason
