"""Forms of features and the ridge: what they must leave alone and what they must find."""

import numpy as np
import pytest

from cf_pipeline.benchmark.features import centred, centred_on, ensemble, in_form, whitened
from cf_pipeline.benchmark.ridge import STRENGTHS, fit_ridge
from cf_pipeline.vectors import IndexedVectors, unit_norm

RNG = np.random.default_rng(0)
TRAIN = (RNG.normal(size=(400, 6)) @ RNG.normal(size=(6, 6)) + 7).astype(np.float32)
OTHERS = (RNG.normal(size=(30, 6)) + 7).astype(np.float32)


def test_centred_subtracts_the_mean_of_train() -> None:
    assert centred(TRAIN, TRAIN).mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-5)
    assert centred(TRAIN, OTHERS) == pytest.approx(OTHERS - TRAIN.mean(axis=0), abs=1e-5)
    vectors = IndexedVectors(("a", "b", "c"), np.array([[1.0], [3.0], [9.0]], dtype=np.float32))
    assert centred_on(("a", "b"), vectors).vectors.tolist() == [[-1.0], [1.0], [7.0]]


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


def test_ridge_recovers_a_linear_map() -> None:
    weights = RNG.normal(size=(6, 3))
    targets = (TRAIN @ weights + np.array([1.0, -2.0, 5.0])).astype(np.float32)
    predicted = fit_ridge(TRAIN, targets).predict(OTHERS, 1e-7)
    exact = (OTHERS - TRAIN.mean(axis=0)) @ weights
    assert predicted == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("n", [400, 4])
def test_ridge_solves_its_normal_equations(n: int) -> None:
    # Also with fewer projects than features, where X'X has no inverse.
    features, targets = TRAIN[:n].astype(float), RNG.normal(size=(n, 3))
    path = fit_ridge(features.astype(np.float32), targets.astype(np.float32))
    x, y = features - features.mean(axis=0), targets - targets.mean(axis=0)
    for strength in (1e-2, 1.0, 100.0):
        penalty = strength * np.trace(x.T @ x) / 6
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(6), x.T @ y)
        expected = (OTHERS - features.mean(axis=0)) @ weights
        assert path.predict(OTHERS, strength) == pytest.approx(expected, abs=1e-3)


def test_strengths_run_from_strong_to_weak() -> None:
    assert list(STRENGTHS) == sorted(STRENGTHS, reverse=True)
    path = fit_ridge(TRAIN, TRAIN[:, :2])
    sizes = [np.abs(path.predict(OTHERS, s)).mean() for s in STRENGTHS]
    assert sizes == sorted(sizes)
