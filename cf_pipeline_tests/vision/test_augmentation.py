"""Random views: what they show of a cover, and what a seed decides."""

import torch

from cf_pipeline.vision.augmentation import random_views
from cf_pipeline.vision.geometry import Shape

SHAPE = Shape(24, 16)


def gradients(n):
    """Covers whose first two channels say where a pixel lies, between -1 and 1."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 60), torch.linspace(-1, 1, 40), indexing="ij")
    return torch.stack([y, x, torch.zeros_like(x)])[None].repeat(n, 1, 1, 1)


def views(n=200, crop_area=0.5, jitter=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return random_views(gradients(n), SHAPE, crop_area, jitter, generator)


def test_a_view_is_a_part_of_the_cover_mirrored_half_the_time():
    shown = views()
    assert shown.shape == (200, 3, *SHAPE)
    assert shown.is_contiguous(memory_format=torch.channels_last)
    y, x = shown[:, 0], shown[:, 1]
    # Rows run down and never up; columns run either way.
    assert (y.diff(dim=1) > 0).all()
    rightwards = (x.diff(dim=2) > 0).all(dim=(1, 2))
    assert (rightwards | (x.diff(dim=2) < 0).all(dim=(1, 2))).all()
    assert 60 < rightwards.sum() < 140
    height = (y[:, -1, 0] - y[:, 0, 0]) / 2 * 24 / 23
    width = (x[:, 0, -1] - x[:, 0, 0]).abs() / 2 * 16 / 15
    area = height * width
    assert 0.4 < area.min() < 0.6
    assert 0.9 < area.max() < 1.05
    stretch = height / width
    assert 0.75 < stretch.min() < 1 < stretch.max() < 1.35
    # Crops lie everywhere, and within the cover.
    assert shown[:, :2].abs().max() <= 1
    middles = shown[:, :2].mean(dim=(2, 3))
    assert (middles.amax(dim=0) > 0.15).all()
    assert (middles.amin(dim=0) < -0.15).all()


def test_the_whole_cover_where_nothing_may_be_cut_off():
    shown = views(8, crop_area=1.0)
    smaller = torch.nn.functional.interpolate(gradients(1), SHAPE, mode="bilinear")[0]
    # The same sampling, mirrored or not; a stretched crop of the whole is the whole, or nearly.
    assert (shown[:, 0] - smaller[0]).abs().max() < 0.15


def test_light_and_contrast_move_by_as_much_as_was_asked_for():
    plain, lit = views(jitter=0.0), views(jitter=0.3)
    means = lit.mean(dim=(1, 2, 3)) - plain.mean(dim=(1, 2, 3))
    assert 0.25 < means.max() <= 0.3 + 1e-5
    assert -0.3 - 1e-5 <= means.min() < -0.25
    contrast = lit.std(dim=(1, 2, 3)) / plain.std(dim=(1, 2, 3))
    assert 0.69 < contrast.min() < 0.75
    assert 1.25 < contrast.max() < 1.31


def test_a_seed_decides_everything():
    assert torch.equal(views(seed=3), views(seed=3))
    assert not torch.equal(views(seed=3), views(seed=4))
