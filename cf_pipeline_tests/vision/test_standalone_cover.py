"""The file that goes into an exported folder gives the pixels that training had."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from cf_pipeline.vision import standalone_cover
from cf_pipeline.vision.backbones.backbone import Normalization
from cf_pipeline.vision.covers import open_cover
from cf_pipeline.vision.geometry import Shape, fit_cover
from cf_pipeline.vision.networks import CoverInput, normalize
from cf_pipeline.vision.portable_folder import preprocessing, write_preprocessing
from cf_pipeline_tests.vision.pictures import drawing, noise, saved

SHAPES = (Shape(32, 32), Shape(48, 32))
FITS = ("whole", "crop", "pad", "squash")


def pictures(folder):
    """Odd files: large, thin, transparent, turned, grey of many bits, palettes, broken EXIF."""
    folder.mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    broken = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12"
    deep = np.linspace(0, 65535, 40 * 30).reshape(30, 40)
    see_through = noise().convert("RGBA")
    see_through.putalpha(noise(seed=1).convert("L"))
    return [
        saved(drawing(side=400, proportions=1.04), folder / "large.png"),
        saved(drawing(seed=1, side=300, proportions=0.3), folder / "thin.jpg"),
        saved(noise(500, 2), folder / "ribbon.png"),
        saved(noise(), folder / "turned.jpg", exif=turned),
        saved(noise(), folder / "broken.jpg", exif=broken),
        saved(see_through, folder / "see_through.png"),
        saved(see_through.quantize(16), folder / "palette.png"),
        saved(see_through, folder / "see_through.webp"),
        saved(noise().convert("CMYK"), folder / "cmyk.jpg"),
        saved(noise().convert("1"), folder / "one_bit.png"),
        saved(Image.fromarray(deep.astype(np.uint16)), folder / "sixteen.png"),
        saved(Image.fromarray((deep / 7 - 900).astype(np.float32)), folder / "float.tiff"),
    ]


@pytest.mark.parametrize("fit", FITS)
def test_its_pixels_are_ours(tmp_path, fit):
    for path in pictures(tmp_path / "pictures"):
        for shape in SHAPES:
            how = preprocessing(CoverInput(Normalization(), shape, fit))
            with Image.open(path) as image:
                theirs = standalone_cover.prepared(image, how)
            ours = fit_cover(open_cover(path), shape, fit)
            assert np.array_equal(theirs, ours), path.name


def test_it_reads_the_settings_beside_it(tmp_path, monkeypatch):
    shutil.copyfile(standalone_cover.__file__, tmp_path / "cover_of_a_folder.py")
    cover_input = CoverInput(Normalization((1, 2, 3), (4, 5, 6)), SHAPES[1], "crop")
    write_preprocessing(tmp_path / "preprocessing.json", cover_input)
    write_preprocessing(tmp_path / "other.json", CoverInput(Normalization(), SHAPES[0], "pad"))
    monkeypatch.syspath_prepend(tmp_path)
    import cover_of_a_folder

    path = saved(noise(), tmp_path / "a.png")
    pixels = cover_of_a_folder.pixels(path)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (48, 32, 3))
    import torch

    expected = normalize(torch.from_numpy(pixels[None]), cover_input.normalization)[0].numpy()
    given = cover_of_a_folder.normalized(str(path))
    assert given.dtype == np.float32
    assert np.array_equal(given, expected)
    assert cover_of_a_folder.pixels(path, "other.json").shape == (32, 32, 3)


def test_settings_say_their_units_and_what_the_fit_means():
    for fit in FITS:
        how = preprocessing(CoverInput(Normalization(), SHAPES[0], fit))
        assert how == json.loads(json.dumps(how))
        assert how["fit_means"]
        assert "0 to 255" in how["units"]
