"""The probe's path over C beside scikit-learn's LogisticRegression on the same features.

Planted features, as those of a network that does not know the classes well, standardized; ten C
over eight orders of magnitude. scikit-learn fits each from nothing with its defaults but as many
iterations as it asks for. `objective_difference` is the largest of ours minus theirs as a share of
theirs, `accuracy_difference` likewise on images that neither was fitted to, in both directions;
`vs_sklearn` their seconds over ours, axes included. Both work with one thread, as the probe does.

    python benchmarks/probe.py
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from cf_pipeline.benchmark.logistic import Problem, fit_path, one_thread, principal_axes

STRENGTHS = tuple(float(c) for c in np.logspace(-6, 2, 10))
DIMENSIONS, CLASSES = 1280, 50
N_ASKED = 5000
Floats = np.ndarray[Any, np.dtype[np.float64]]


def main() -> None:
    """Measure, print a row for each C, and one JSON object last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=10_000, help="images to fit to")
    n = parser.parse_args().size
    features, labels = planted(n + N_ASKED)
    mean, deviation = features[:n].mean(axis=0), features[:n].std(axis=0)
    features = ((features - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
    x, y, asked, answers = features[:n], labels[:n], features[n:], labels[n:]
    with one_thread():
        seconds, ours = fitted(x, y)
    theirs_seconds, rows = 0.0, []
    for c, (weights, intercepts) in zip(STRENGTHS, ours, strict=True):
        wide, started = x.astype(np.float64), time.perf_counter()
        with threadpool_limits(1):
            model = LogisticRegression(C=c, max_iter=10_000).fit(wide, y)
        theirs_seconds += time.perf_counter() - started
        theirs = model.coef_.T, model.intercept_
        objectives = [objective(x, y, *each, c) for each in ((weights, intercepts), theirs)]
        hits = [
            float(((asked @ w + b).argmax(axis=1) == answers).mean())
            for w, b in ((weights, intercepts), theirs)
        ]
        rows.append((objectives[0] / objectives[1] - 1, hits[0] - hits[1]))
        print(f"C {c:8.1e}  objective {objectives[0]:.6f} {objectives[1]:.6f}  {hits}", flush=True)
    print(
        json.dumps({
            "vs_sklearn": round(theirs_seconds / seconds, 2),
            "objective_difference": max(objective for objective, _ in rows),
            "accuracy_difference": max(abs(accuracy) for _, accuracy in rows),
            "seconds": round(seconds, 2),
            "images": n,
        })
    )


def planted(n: int) -> tuple[Floats, np.ndarray[Any, np.dtype[np.int64]]]:
    """Rectified mixtures whose variances fall off as those of a network's last layer do."""
    rng = np.random.default_rng(0)
    scales = np.arange(1, DIMENSIONS + 1) ** -0.5
    mixing = rng.standard_normal((DIMENSIONS, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    labels = rng.integers(CLASSES, size=n)
    centres = 0.35 * rng.standard_normal((CLASSES, DIMENSIONS))
    hidden = (rng.standard_normal((n, DIMENSIONS)) + centres[labels]) * scales
    return np.maximum(hidden @ mixing + 0.1 * rng.standard_normal(DIMENSIONS), 0), labels


def fitted(x: Floats, y: Floats) -> tuple[float, list[tuple[Floats, Floats]]]:
    """Seconds, and weights and intercepts for each C."""
    started = time.perf_counter()
    images = torch.from_numpy(x)
    axes = principal_axes(images)
    targets = torch.nn.functional.one_hot(torch.from_numpy(y), CLASSES).float()
    problem = Problem(images @ axes.basis, targets, axes.variances, multi_label=False)
    fits = fit_path(problem, STRENGTHS)
    seconds = time.perf_counter() - started
    basis = axes.basis.double()
    return seconds, [
        ((basis @ fit.weights.double()).numpy(), fit.intercepts.double().numpy()) for fit in fits
    ]


def objective(x: Floats, y: Floats, weights: Floats, intercepts: Floats, c: float) -> float:
    """Mean cross-entropy and penalty, in 64 bits."""
    scores = x.astype(np.float64) @ weights + intercepts
    highest = scores.max(axis=1)
    totals = np.log(np.exp(scores - highest[:, None]).sum(axis=1)) + highest
    penalty = (weights**2).sum() / (2 * c * len(x))
    return float((totals - scores[np.arange(len(x)), y]).mean() + penalty)


if __name__ == "__main__":
    main()
