"""Panels of covers: every kind of file, broken and missing ones, and always below 100 KB."""

import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cf_pipeline.figures.panels import captioned_rows, contact_sheet, retrieval_panel
from cf_pipeline.figures.style import BLUE

MISSING = "#d5d9dc"


@pytest.fixture
def noisy(tmp_path):
    """Files that compress as badly as pictures can."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"noise-{number}.png" for number in range(12)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    return paths


def write(path, mode, size=(90, 60), **options):
    Image.new(mode, size, 1 if mode in "1P" else None).save(path, **options)
    return path


def test_queries_are_framed_and_rows_may_differ_in_length(look, share, tmp_path):
    grey = [write(tmp_path / f"grey-{number}.png", "L") for number in range(8)]

    pixels = look(retrieval_panel([grey[:5], grey[5:]], ["first", "second, $5"]))
    assert share(pixels, BLUE) > 0.003
    # Rows under a line of words have no query among them.
    pixels = look(captioned_rows([grey[:5], grey[5:]], ["first", "second"], "clusters"))
    assert share(pixels, BLUE) == 0


@pytest.mark.parametrize("rows", [[], [[]]])
def test_no_rows_are_said_rather_than_drawn(look, rows):
    look(retrieval_panel(rows, [""] * len(rows)))
    look(contact_sheet([], 10))


def test_captions_must_match_rows(noisy):
    with pytest.raises(ValueError, match="zip"):
        retrieval_panel([noisy], [])


def test_long_captions_and_letters_without_a_glyph_do_no_harm(look, noisy):
    look(retrieval_panel([noisy[:2]], ["漢字 " + "a very long title " * 30], title="t" * 300))


def test_a_missing_cover_is_a_grey_tile_and_is_reported(look, share, noisy, tmp_path, caplog):
    whole = look(retrieval_panel([noisy[:6]], ["row"]))
    with caplog.at_level(logging.WARNING):
        holed = look(retrieval_panel([[*noisy[:5], tmp_path / "nowhere.png"]], ["row"]))

    assert share(holed, MISSING) > share(whole, MISSING) + 0.03
    assert "1 of 6 covers could not be drawn" in caplog.text


def claiming(data, width, height):
    """The PNG with another size in its header."""
    header = data[12:16] + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "large", "bomb", "folder"])
def test_files_that_are_no_pictures_are_grey_tiles(look, share, noisy, tmp_path, kind):
    path, data = tmp_path / "broken.png", noisy[0].read_bytes()
    contents = {
        "empty": b"",
        "text": b"hello",
        "truncated": data[:4000],
        "large": claiming(data, 8_000, 8_000),
        "bomb": claiming(data, 60_000, 60_000),
    }
    if kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(contents[kind])

    assert share(look(contact_sheet([path], 4)), MISSING, within=4) > 0.02


def test_pictures_of_many_kinds_are_drawn(look, share, tmp_path):
    paths = [
        write(tmp_path / "cmyk.jpg", "CMYK"),
        write(tmp_path / "palette.png", "P"),
        write(tmp_path / "grey.png", "L"),
        write(tmp_path / "bits.png", "1"),
        write(tmp_path / "deep.png", "I;16"),
        write(tmp_path / "alpha.webp", "RGBA", lossless=True),
        write(tmp_path / "thin.png", "RGB", (900, 1)),
        write(tmp_path / "named.jpg", "RGB", format="GIF"),
    ]

    assert share(look(contact_sheet(paths, 4)), MISSING) < 0.005


@pytest.mark.parametrize("n", [1, 40, 200])
def test_sheets_of_noise_stay_below_the_limit(look, noisy, n):
    look(contact_sheet([noisy[number % 12] for number in range(n)], 20, "Noise"))


def test_equal_covers_make_equal_bytes(noisy):
    assert contact_sheet(noisy, 5) == contact_sheet(noisy, 5)
