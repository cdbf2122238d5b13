"""Degrees and split counts, from nothing to heavy tails."""

import numpy as np
import pytest

from cf_pipeline.figures.distributions import (
    DegreeCuts,
    degree_distributions,
    split_counts,
)
from cf_pipeline.figures.style import BLUE, GREEN, ORANGE

NONE = np.array([], dtype=np.int64)


@pytest.fixture(scope="module")
def degrees():
    drawn = np.random.default_rng(0).zipf(1.8, 3000)
    return drawn[drawn < 5000]


def test_degrees_before_and_after_with_both_cuts(look, share, degrees):
    after = degrees[(degrees >= 5) & (degrees <= 800)]

    with_cuts = look(degree_distributions(degrees, after, degrees, after, DegreeCuts(5, 800, 5)))
    without = look(degree_distributions(degrees, after, degrees, after, DegreeCuts()))
    assert share(with_cuts, BLUE) > 0.003
    assert share(with_cuts, ORANGE) > share(without, ORANGE)


@pytest.mark.parametrize(
    ("before", "after"), [(NONE, NONE), ([3], NONE), ([0, 0, 7], [7]), ([1] * 9, [1] * 9)]
)
def test_few_degrees_or_none_can_be_drawn(look, before, after):
    before, after = np.array(before, dtype=np.int64), np.array(after, dtype=np.int64)
    look(degree_distributions(before, after, before, after, DegreeCuts(2, 100, 2, 100)))


def test_bars_of_splits_are_as_long_as_their_counts(look, share):
    pixels = look(split_counts({"train": 60, "validation": 15, "test": 30}))

    train, validation, test = (share(pixels, color) for color in (BLUE, ORANGE, GREEN))
    np.testing.assert_allclose([validation / train, test / train], [0.25, 0.5], atol=0.03)


@pytest.mark.parametrize("counts", [{}, {"train": 0}, {"train": 1, "test": 0}, {"other": 3}])
def test_splits_with_nothing_in_them_can_be_drawn(look, counts):
    look(split_counts(counts))
