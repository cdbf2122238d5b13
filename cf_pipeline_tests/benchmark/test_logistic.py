"""The solver: scikit-learn's optimum, whichever way the features are stretched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from cf_pipeline.benchmark.logistic import Problem, fit_path, principal_axes

STRENGTHS = (1e-4, 1e-2, 1.0, 100.0)


def stretched(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Five classes; deviations along random axes fall over four orders of magnitude."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, n)
    scales = np.logspace(0, -4, d)
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    x = (rng.normal(size=(5, d))[labels] * 0.7 + rng.normal(size=(n, d))) * scales @ axes
    return (x - x.mean(axis=0)).astype(np.float32), labels


def objective(
    x: np.ndarray, labels: np.ndarray, weights: np.ndarray, intercepts: np.ndarray, c: float
) -> float:
    scores = x.astype(float) @ weights + intercepts
    totals = np.log(np.exp(scores - scores.max(axis=1, keepdims=True)).sum(axis=1))
    loss = totals + scores.max(axis=1) - scores[np.arange(len(x)), labels]
    return float(loss.mean() + (weights**2).sum() / (2 * c * len(x)))


@pytest.mark.parametrize(("n", "d"), [(400, 40), (60, 200)])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_the_optimum_is_that_of_scikit_learn(n: int, d: int, kind: torch.dtype) -> None:
    x, labels = stretched(n, d)
    axes = principal_axes(torch.from_numpy(x).to(kind))
    assert axes.basis.shape == (d, min(n, d))
    targets = torch.nn.functional.one_hot(torch.from_numpy(labels), 5).to(kind)
    along = torch.from_numpy(x).to(kind) @ axes.basis
    problem = Problem(along, targets, axes.variances, multi_label=False)
    near = 1e-4 if kind == torch.float64 else 2e-3
    for c, fit in zip(STRENGTHS, fit_path(problem, STRENGTHS), strict=True):
        assert fit.is_done
        assert fit.n_evaluations > 1
        weights = (axes.basis.double() @ fit.weights.double()).numpy()
        ours = objective(x, labels, weights, fit.intercepts.double().numpy(), c)
        assert ours == pytest.approx(fit.objective, rel=1e-4)
        plain = LogisticRegression(C=c, tol=1e-9, max_iter=20_000).fit(x.astype(float), labels)
        theirs = objective(x, labels, plain.coef_.T, plain.intercept_, c)
        assert ours == pytest.approx(theirs, rel=near)


def test_a_start_near_by_ends_at_the_same() -> None:
    x, labels = stretched(300, 20)
    axes = principal_axes(torch.from_numpy(x))
    targets = torch.nn.functional.one_hot(torch.from_numpy(labels), 5).float()
    problem = Problem(torch.from_numpy(x) @ axes.basis, targets, axes.variances, multi_label=False)
    first, second = fit_path(problem, (0.1, 1.0))
    [cold] = fit_path(problem, (1.0,))
    [warm] = fit_path(problem, (1.0,), first)
    assert second.objective == warm.objective == pytest.approx(cold.objective, rel=1e-4)
