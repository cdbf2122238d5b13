from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cf_pipeline.baselines.color import Color
from cf_pipeline.errors import DataError
from cf_pipeline.vectors import silent
from cf_pipeline.vision.devices import Execution


def saved(pixels, path):
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)
    return path


def color_histograms(paths, bins, n_threads=1, progress=silent):
    execution = Execution(torch.device("cpu"), n_threads, Path())
    return Color(bins=bins).extract(paths, execution, progress)


def test_shares_of_four_colours(tmp_path):
    """Bin (r, g, b) is column (r n + g) n + b, its value the root of its share."""
    pixels = np.zeros((2, 2, 3))
    pixels[0, 0], pixels[0, 1], pixels[1, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    (row,) = color_histograms([saved(pixels, tmp_path / "a.png")], 2)
    expected = np.zeros(8)
    expected[[4, 2, 1, 0]] = 0.5
    assert row == pytest.approx(expected)


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(1, 64),
    height=st.integers(1, 64),
    n_bins=st.integers(2, 16),
    seed=st.integers(0, 99),
)
def test_equals_a_histogram_counted_by_numpy(tmp_path_factory, width, height, n_bins, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    path = saved(pixels, tmp_path_factory.getbasetemp() / "histogram.png")
    (row,) = color_histograms([path], n_bins)
    edges = np.arange(n_bins + 1) * 256 / n_bins
    counts, _ = np.histogramdd(pixels.reshape(-1, 3), bins=[edges] * 3)
    assert row.dtype == np.float32
    assert row == pytest.approx(np.sqrt(counts.ravel() / counts.sum()), abs=1e-6)
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)


def test_size_and_place_do_not_matter_and_colour_does(tmp_path):
    left = np.full((200, 200, 3), 255)
    left[20:60, 20:60] = (200, 30, 30)
    right, blue = np.full((200, 200, 3), 255), np.full((200, 200, 3), 255)
    right[120:160, 120:160] = (200, 30, 30)
    blue[20:60, 20:60] = (30, 30, 200)
    Image.fromarray(left.astype(np.uint8)).resize((50, 50)).save(tmp_path / "small.png")
    paths = [saved(p, tmp_path / f"{i}.png") for i, p in enumerate((left, right, blue))]
    rows = color_histograms([*paths, tmp_path / "small.png"], 4, n_threads=2)
    cosines = rows @ rows[0]
    assert cosines[1] > 0.999
    assert cosines[3] > 0.99
    # White margins count: two drawings of other colours still share them.
    assert 0.9 < cosines[2] < 0.99


def test_order_progress_and_no_covers(tmp_path):
    paths = [saved(np.full((3, 3, 3), i * 4), tmp_path / f"{i}.png") for i in range(60)]
    seen = []
    rows = color_histograms(paths, 16, 2, lambda done, total, _: seen.append((done, total)))
    assert rows.argmax(axis=1).tolist() == [(i * 4 // 16) * (256 + 16 + 1) for i in range(60)]
    assert seen[-1] == (60, 60)
    assert color_histograms([], 4).shape == (0, 64)


def test_an_unreadable_cover_is_named(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"bad")
    with pytest.raises(DataError, match=r"bad\.png"):
        color_histograms([tmp_path / "bad.png"], 4)
