"""The probe's path over C beside scikit-learn's LogisticRegression on the same features.

Planted features, as those of a network that does not know the classes well, standardized, of 32
bits; ten C over eight orders of magnitude. scikit-learn fits each from nothing, with one thread,
which is its fastest here, and as many iterations as it asks for. Ours take two threads, and
seconds: they are the median of a run before scikit-learn's and two after, since whatever else works
on the machine slows them and not it. `vs_sklearn` is their seconds over ours, axes included, at
equal objectives: where its default tolerance ends more than a thousandth above ours, theirs is the
first tolerance a tenth as large, or a tenth of that, that does not. `vs_sklearn_as_it_comes` is at
its default tolerance throughout. `objective_difference` is the largest of ours minus theirs as a
share of theirs, `accuracy_difference` likewise on images that neither was fitted to, in both
directions, both at equal objectives.

    python benchmarks/probe.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from cf_pipeline.benchmark.logistic import Problem, along, fit_path, principal_axes
from cf_pipeline.benchmark.workers import Workers, workers

STRENGTHS = tuple(float(c) for c in np.logspace(-6, 2, 10))
DIMENSIONS, CLASSES = 1280, 50
N_ASKED = 5000
TOLERANCES = tuple(10.0**-place for place in range(4, 9))
EQUAL = 1e-3
"""Share of an objective by which another may lie above it and be as good."""
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
    with workers() as by:
        first, ours = fitted(x, y, by)
    equal, as_it_comes, rows = 0.0, 0.0, []
    for c, (weights, intercepts) in zip(STRENGTHS, ours, strict=True):
        reached = objective(x, y, weights, intercepts, c)
        fits = rivals(x, y, c, reached)
        as_it_comes, equal = as_it_comes + fits[0].seconds, equal + fits[-1].seconds
        theirs = fits[-1]
        hits = [
            float(((asked @ w + b).argmax(axis=1) == answers).mean())
            for w, b in ((weights, intercepts), (theirs.weights, theirs.intercepts))
        ]
        rows.append((reached / theirs.objective - 1, hits[0] - hits[1]))
        print(
            f"C {c:8.1e}  objective {reached:.6f} {fits[0].objective:.6f} {theirs.objective:.6f}  "
            f"tolerance {theirs.tolerance:.0e}  {hits}",
            flush=True,
        )
    with workers() as by:
        runs = sorted([first, *(fitted(x, y, by)[0] for _ in range(2))])
    seconds = statistics.median(runs)
    print(
        json.dumps({
            "vs_sklearn": round(equal / seconds, 2),
            "vs_sklearn_as_it_comes": round(as_it_comes / seconds, 2),
            "objective_difference": max((apart for apart, _ in rows), key=abs),
            "accuracy_difference": max(abs(accuracy) for _, accuracy in rows),
            "seconds": round(seconds, 2),
            "fastest": round(runs[0], 2),
            "slowest": round(runs[-1], 2),
            "images": n,
        })
    )


class Rival(NamedTuple):
    """A fit of scikit-learn's."""

    seconds: float
    tolerance: float
    objective: float
    weights: Floats
    intercepts: Floats


def rivals(x: Floats, y: Floats, c: float, reached: float) -> list[Rival]:
    """Fits with less and less tolerance, the last one as near to the optimum as ours."""
    fits: list[Rival] = []
    for tolerance in TOLERANCES:
        started = time.perf_counter()
        with threadpool_limits(1):
            model = LogisticRegression(C=c, tol=tolerance, max_iter=10_000).fit(x, y)
        seconds = time.perf_counter() - started
        weights, intercepts = model.coef_.T, model.intercept_
        found = objective(x, y, weights, intercepts, c)
        fits.append(Rival(seconds, tolerance, found, weights, intercepts))
        if found <= reached * (1 + EQUAL):
            break
    return fits


def planted(n: int) -> tuple[Floats, np.ndarray[Any, np.dtype[np.int64]]]:
    """Rectified mixtures whose variances fall off as those of a network's last layer do."""
    rng = np.random.default_rng(0)
    scales = np.arange(1, DIMENSIONS + 1) ** -0.5
    mixing = rng.standard_normal((DIMENSIONS, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    labels = rng.integers(CLASSES, size=n)
    centres = 0.35 * rng.standard_normal((CLASSES, DIMENSIONS))
    hidden = (rng.standard_normal((n, DIMENSIONS)) + centres[labels]) * scales
    return np.maximum(hidden @ mixing + 0.1 * rng.standard_normal(DIMENSIONS), 0), labels


def fitted(x: Floats, y: Floats, by: Workers) -> tuple[float, list[tuple[Floats, Floats]]]:
    """Seconds, and weights and intercepts for each C."""
    started = time.perf_counter()
    images = torch.from_numpy(x)
    axes = principal_axes(images, by)
    targets = torch.nn.functional.one_hot(torch.from_numpy(y), CLASSES).float()
    problem = Problem(along(images, axes.basis, by), targets, axes.variances, multi_label=False)
    fits = fit_path(problem, STRENGTHS, by=by)
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
