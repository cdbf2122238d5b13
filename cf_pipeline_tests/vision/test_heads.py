"""The head before the first step: which ridge, and that a linear layer gives what it gives."""

import numpy as np
import pytest
import torch
from torch import nn

from cf_pipeline.vision.heads import fit_heads
from cf_pipeline.vision.ridge import STRENGTHS, fit_ridge

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(80, 12)) + 3).astype(np.float32)
HELD_OUT = (RNG.normal(size=(30, 12)) + 3).astype(np.float32)
MAP = RNG.normal(size=(12, 4))
TARGETS = torch.from_numpy((X @ MAP + RNG.normal(size=(80, 4)) + 5).astype(np.float32))
WANTED = torch.from_numpy((HELD_OUT @ MAP + 5).astype(np.float32))


def merit(outputs):
    return -float((outputs - WANTED).square().mean())


def outputs_of(head):
    with torch.no_grad():
        return head(torch.from_numpy(HELD_OUT))


def test_the_strength_is_the_one_that_validation_likes_best():
    heads = fit_heads(X, TARGETS, HELD_OUT, merit)
    path = fit_ridge(X, TARGETS.numpy())
    outputs = [torch.from_numpy(path.offset + path.predict(HELD_OUT, s)) for s in STRENGTHS]
    merits = [merit(each) for each in outputs]
    assert heads.best == STRENGTHS[int(np.argmax(merits))]
    # Of equals the strongest, which is the most cautious.
    assert fit_heads(X, TARGETS, HELD_OUT, lambda outputs: 1.0).best == STRENGTHS[0]


@pytest.mark.parametrize("times", [1.0, 30.0])
def test_a_linear_layer_gives_what_the_ridge_gives(times):
    heads, head = fit_heads(X, TARGETS, HELD_OUT, merit), nn.Linear(12, 4)
    heads.load_into(head, times)
    expected = heads.path.offset + heads.path.predict(HELD_OUT, heads.best * times)
    assert outputs_of(head).numpy() == pytest.approx(expected, abs=1e-3)


def test_weights_count_as_copies_do():
    copies = RNG.integers(1, 4, 80)
    rows = np.repeat(np.arange(80), copies)
    weighted = fit_ridge(X, TARGETS.numpy(), copies / copies.mean())
    copied = fit_ridge(X[rows], TARGETS.numpy()[rows])
    assert weighted.mean == pytest.approx(copied.mean, rel=1e-6)
    assert weighted.offset == pytest.approx(copied.offset, rel=1e-6)
    for strength in (0.01, 1.0, 100.0):
        assert weighted.weights(strength) == pytest.approx(copied.weights(strength), rel=1e-4)
    # More features than rows: the other Gram matrix.
    wide, alone = np.hstack([X[:8], X[8:16]]), np.ones(8)
    plain = fit_ridge(wide, TARGETS.numpy()[:8])
    assert fit_ridge(wide, TARGETS.numpy()[:8], alone).weights(1.0) == pytest.approx(
        plain.weights(1.0)
    )


def test_a_stronger_one_says_less():
    heads, head = fit_heads(X, TARGETS, HELD_OUT, merit), nn.Linear(12, 4)
    spreads = []
    for times in (1.0, 30.0, 1e9):
        heads.load_into(head, times)
        spreads.append(float(outputs_of(head).std(dim=0).mean()))
    assert spreads[0] > spreads[1] > spreads[2]
    assert outputs_of(head).numpy() == pytest.approx(
        np.tile(TARGETS.numpy().mean(axis=0), (30, 1)), abs=1e-2
    )
