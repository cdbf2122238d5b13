"""Forms of features: what they subtract, what they divide by, and what they leave alone."""

import numpy as np
import pytest

from cf_pipeline.benchmark.features import as_compared, centred, ensemble, in_form, whitened
from cf_pipeline.errors import DataError
from cf_pipeline.vectors import IndexedVectors, unit_norm

RNG = np.random.default_rng(0)
TRAIN = (RNG.normal(size=(400, 6)) @ RNG.normal(size=(6, 6)) + 7).astype(np.float32)
OTHERS = (RNG.normal(size=(30, 6)) + 7).astype(np.float32)


def test_centred_subtracts_the_mean_of_train() -> None:
    assert centred(TRAIN, TRAIN).mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-5)
    assert centred(TRAIN, OTHERS) == pytest.approx(OTHERS - TRAIN.mean(axis=0), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "form", "expected"),
    [
        ("collaborative", "plain", [-1.0, 1.0, 7.0]),
        ("imagenet", "centred", [-1.0, 1.0, 7.0]),
        ("imagenet", "plain", [1.0, 3.0, 9.0]),
        ("random", "centred", [1.0, 3.0, 9.0]),
        ("my_lab.features:Gist", "centred", [1.0, 3.0, 9.0]),
    ],
)
def test_a_feature_set_is_compared_in_its_own_form(name, form, expected) -> None:
    vectors = IndexedVectors(("a", "b", "c"), np.array([[1.0], [3.0], [9.0]], dtype=np.float32))
    found = as_compared(name, vectors, ("a", "b"), form)
    assert found.vectors[:, 0].tolist() == expected


def test_what_is_left_as_it_is_needs_no_train_project() -> None:
    vectors = IndexedVectors(("a",), np.ones((1, 2), dtype=np.float32))
    assert as_compared("color", vectors, ("nowhere",), "centred") is vectors
    with pytest.raises(DataError, match="have no vector"):
        as_compared("collaborative", vectors, ("nowhere",), "plain")


def test_whitened_train_has_no_correlations() -> None:
    covariance = np.cov(whitened(TRAIN, TRAIN).T, bias=True)
    variances = np.linalg.eigvalsh(np.cov(TRAIN.T, bias=True))
    # Each direction keeps lambda / (lambda + floor * mean(lambda)) of its unit variance.
    expected = variances / (variances + 0.01 * variances.mean())
    assert np.sort(np.diag(covariance)) == pytest.approx(np.sort(expected), abs=1e-3)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3


def test_whitening_constant_features_stays_finite() -> None:
    constant = np.full((5, 3), 2.0, dtype=np.float32)
    assert whitened(constant, constant).tolist() == np.zeros((5, 3)).tolist()


def test_plain_is_as_it_is() -> None:
    assert in_form("plain", TRAIN, OTHERS) is OTHERS
    assert np.array_equal(in_form("centred", TRAIN, OTHERS), centred(TRAIN, OTHERS))
    assert np.array_equal(in_form("whitened", TRAIN, OTHERS), whitened(TRAIN, OTHERS))


def test_the_cosine_of_an_ensemble_is_the_mean_of_both() -> None:
    a, b = OTHERS, RNG.normal(size=(30, 4)).astype(np.float32)
    both = unit_norm(ensemble(a, b))
    mean = (unit_norm(a) @ unit_norm(a).T + unit_norm(b) @ unit_norm(b).T) / 2
    assert both @ both.T == pytest.approx(mean, abs=1e-6)
