"""Covers as a function of factors: smooth, mirrored without harm, in chunks, quick."""

import time

import numpy as np
import pytest

from cf_pipeline.synthetic.rendering import CHUNK, compose, render
from cf_pipeline.vectors import unit_norm


def draw(scenes, size=32, noise=0.0, seed=0):
    parts = [images for _, images in render(scenes, size, noise, np.random.default_rng(seed))]
    return np.concatenate(parts).astype(np.float32) / 255


def directions(n, k=6, seed=0):
    return unit_norm(np.random.default_rng(seed).normal(size=(n, k)).astype(np.float32))


def difference(a, b):
    return np.sqrt(((a - b) ** 2).mean(axis=(1, 2, 3)))


def test_a_small_step_of_the_factor_is_a_small_step_of_the_cover():
    factors = directions(64)
    step = directions(64, seed=1)
    # One seed for all: the same phase, waves and light, so that the factor alone moves.
    covers = [
        draw(compose(unit_norm(factors + size * step), np.random.default_rng(0)))
        for size in (0, 0.02, 0.3)
    ]

    small, large = difference(covers[0], covers[1]), difference(covers[0], covers[2])
    assert small.max() < 0.06
    assert np.median(large) > 2.5 * np.median(small)


@pytest.mark.parametrize("channel", range(8))
def test_every_channel_moves_the_cover(channel):
    scenes = compose(directions(32, k=8), np.random.default_rng(0))
    low, high = scenes.channels.copy(), scenes.channels.copy()
    low[:, channel], high[:, channel] = -0.8, 0.8
    covers = [
        draw(type(scenes)(**{**vars(scenes), "channels": channels})) for channels in (low, high)
    ]

    assert np.median(difference(*covers)) > 0.015


def test_the_mirror_image_means_the_same():
    scenes = compose(directions(16), np.random.default_rng(0))
    mirrored = type(scenes)(**{**vars(scenes), "mirror": -scenes.mirror})

    # The texture is mirrored with everything else, so the pictures agree but for rounding.
    np.testing.assert_allclose(draw(scenes), draw(mirrored)[:, :, ::-1], atol=1.1 / 255)


def test_equal_factors_do_not_make_equal_covers():
    scenes = compose(np.repeat(directions(1), 32, axis=0), np.random.default_rng(0))
    covers = draw(scenes)

    gap = np.sqrt(((covers[:, None] - covers[None, :]) ** 2).mean(axis=(2, 3, 4)))
    assert gap[~np.eye(32, dtype=bool)].min() > 0.06


def test_channels_without_a_factor_are_drawn_and_those_with_one_are_not():
    factors = directions(500, k=3)
    one, two = (compose(factors, np.random.default_rng(seed)).channels for seed in (0, 1))

    np.testing.assert_array_equal(one[:, :3], two[:, :3])
    assert np.abs(np.corrcoef(one[:, 3], two[:, 3])[0, 1]) < 0.2
    assert (np.diff(one[np.argsort(factors[:, 0]), 0]) >= 0).all()


def test_chunks_cover_every_row_in_order():
    scenes = compose(directions(2 * CHUNK + 5), np.random.default_rng(0))

    chunks = list(render(scenes, 16, 0.0, np.random.default_rng(0)))
    assert [(start, len(images)) for start, images in chunks] == [
        (0, CHUNK),
        (CHUNK, CHUNK),
        (2 * CHUNK, 5),
    ]
    last = draw(scenes.take(np.array([2 * CHUNK + 4])), size=16)
    np.testing.assert_array_equal(chunks[-1][1][-1:] / np.float32(255), last)


def test_noise_is_as_loud_as_asked_for():
    scenes = compose(directions(32), np.random.default_rng(0))

    assert np.abs(difference(draw(scenes), draw(scenes, noise=0.05)).mean() - 0.05) < 0.005


def test_six_hundred_covers_take_less_than_three_seconds():
    scenes = compose(directions(600), np.random.default_rng(0))

    start = time.perf_counter()
    draw(scenes, size=48, noise=0.04)
    assert time.perf_counter() - start < 3
