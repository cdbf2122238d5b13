"""Logistic regression along a path of strengths, in torch.

Minimized is

    mean over images of loss(x W + b, y) + |W|^2 / (2 C n)

which is scikit-learn's objective divided by C n: the loss of softmax where an image has one label,
the sum of binary ones where it has any number. L-BFGS along the axes of the features' covariance,
scaled there by what bounds the curvature: directions of large and of small variance become equally
steep, and tens of steps do where hundreds are needed else. Each C starts where the solutions of the
two before it point. Where sums are of 32 bits values no longer tell near the optimum, so steps are
judged by slopes there (Hager and Zhang 2005, "approximate Wolfe").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cf_pipeline.benchmark.workers import Workers

TOLERANCES = {torch.float32: 3e-5, torch.float64: 1e-5}
"""Of the largest component of the gradient; sums of 32 bits hold a third of theirs."""
MOST = {torch.float32: 1000, torch.float64: 100}
"""Evaluations for one C. Features that hardly differ, as those of a network from nothing, are
nearly collinear: thousands would move no prediction there."""
CONVERGED = 1e-4
"""Of the largest component of the gradient: scikit-learn's default tolerance."""
MEMORY = 10
"""Steps that L-BFGS remembers."""
_OF_PENALTY = 3e-2
"""In 64 bits the largest component of the gradient that is asked for, as a share of the decay."""
FLOOR = 1e-6
"""Less than this is not asked for, however weak the penalty."""
_SUFFICIENT = 0.1
_ROUNDING = 1e-6
"""Share of a value below which it cannot be told from another."""
_SHORTEST = 1e-4


class Axes(NamedTuple):
    """Orthonormal axes that span the images, shape (d, r), and variances along them, (r,)."""

    basis: Tensor
    variances: Tensor


class Problem(NamedTuple):
    """What is told apart.

    Attributes:
        x: images along axes, shape (n, r).
        targets: 1 where an image has a label, of the same type, shape (n, n_classes).
        variances: along the axes, about those of x, shape (r,).
        multi_label: whether labels are told apart one by one.
    """

    x: Tensor
    targets: Tensor
    variances: Tensor
    multi_label: bool


class Fit(NamedTuple):
    """A solution along some axes.

    Attributes:
        weights: shape (r, n_classes).
        intercepts: shape (n_classes,).
        objective: what was reached.
        n_evaluations: of the objective; 1 where it was reached before any step.
        is_done: whether the gradient is below CONVERGED; most are far below.
    """

    weights: Tensor
    intercepts: Tensor
    objective: float
    n_evaluations: int
    is_done: bool

    def scores(self, x: Tensor) -> Tensor:
        """Of images along the axes, shape (n, n_classes)."""
        return torch.addmm(self.intercepts, x, self.weights)


def principal_axes(x: Tensor, by: Workers | None = None) -> Axes:
    """Axes of the covariance of centred features, shape (n, d); r = min(n, d).

    Optimal weights lie in the span of the images, so nothing is lost by them.
    """
    n, d = x.shape
    if n >= d:
        squares = (by or Workers()).blocks(lambda rows: x[rows].T @ x[rows], n)
        variances, basis = torch.linalg.eigh(_sum(squares) / n)
    else:
        span, upper = torch.linalg.qr(x.T)
        variances, turned = torch.linalg.eigh(upper @ upper.T / n)
        basis = span @ turned
    return Axes(basis, variances.clamp_min(0))


def along(x: Tensor, basis: Tensor, by: Workers) -> Tensor:
    """Images along axes, (n, d) and (d, r) to (n, r)."""
    return torch.cat(by.blocks(lambda rows: x[rows] @ basis, len(x)))


def fit_path(
    problem: Problem,
    strengths: Sequence[float],
    start: Fit | None = None,
    by: Workers | None = None,
) -> list[Fit]:
    """A solution for each C.

    Args:
        problem: what is told apart.
        strengths: values of C; neighbours are near each other, strongest regularization first.
        start: where to begin, a solution for a C near the first.
        by: who does the work; None: this thread.
    """
    x, targets = problem.x, problem.targets
    share = targets.mean(0).clamp(1e-6, 1 - 1e-6)
    curvature = (share * (1 - share)).mean()
    if start is None:
        intercepts = torch.logit(share) if problem.multi_label else share.log()
        nothing = torch.zeros(x.shape[1], targets.shape[1], dtype=x.dtype)
        solution = torch.cat([nothing, intercepts[None]])
    else:
        solution = torch.cat([start.weights, start.intercepts[None]]).to(x.dtype)
    fits: list[Fit] = []
    known = [(strengths[0], solution)]
    for strength in strengths:
        decay = 1 / (strength * len(x))
        bounds = torch.cat([problem.variances * curvature + decay, curvature[None]])
        objective = _Objective(problem, decay, bounds.rsqrt()[:, None], by or Workers())
        found = _minimized(objective, _ahead(known, strength) / objective.scale)
        solution = found.at * objective.scale
        known.append((strength, solution))
        largest = objective.largest(found.gradient)
        is_done = largest <= CONVERGED
        fits.append(Fit(solution[:-1], solution[-1], found.value, objective.evaluations, is_done))
    return fits


def _ahead(known: Sequence[tuple[float, Tensor]], strength: float) -> Tensor:
    """Where the path will be, going on straight in log C as between the last two solutions."""
    if len(known) < 3:  # the first is where it began, and no solution
        return known[-1][1]
    (before, first), (last, second) = known[-2:]
    return second + math.log(strength / last) / math.log(last / before) * (second - first)


class _Objective:
    """The objective of weights, all rows but the last, and intercepts; rows in units of scale."""

    def __init__(self, problem: Problem, decay: float, scale: Tensor, by: Workers) -> None:
        self.problem, self.decay, self.scale, self.by = problem, decay, scale, by
        self.tolerance = TOLERANCES[problem.x.dtype]
        if problem.x.dtype == torch.float64:
            # Where the penalty is all that curves, weights are off by the gradient over it.
            self.tolerance = max(min(self.tolerance, _OF_PENALTY * decay), FLOOR)
        self.evaluations = 0

    def __call__(self, at: Tensor) -> _Point:
        self.evaluations += 1
        x, targets, _, multi_label = self.problem
        n, solution = len(x), at * self.scale
        weights, intercepts = solution[:-1], solution[-1]

        def part(rows: slice) -> tuple[float, Tensor, Tensor]:
            """Sum of losses, and of gradients, of a block."""
            scores = torch.addmm(intercepts, x[rows], weights)
            losses, errors = _losses(scores, targets[rows], multi_label)
            return losses, x[rows].T @ errors, errors.sum(0, keepdim=True)

        losses, of_weights, of_intercepts = zip(*self.by.blocks(part, n), strict=True)
        gradient = torch.cat([
            _sum(of_weights).div_(n).add_(weights, alpha=self.decay),
            _sum(of_intercepts).div_(n),
        ])
        value = sum(losses) / n + self.decay / 2 * float(weights.square().sum())
        return _Point(at, value, gradient * self.scale)

    def largest(self, gradient: Tensor) -> float:
        """Largest component of a gradient, in the units of the weights."""
        return float((gradient / self.scale).abs().max())


def _losses(scores: Tensor, targets: Tensor, multi_label: bool) -> tuple[float, Tensor]:
    """The sum of a block's losses, and their slopes by score, in the place of the scores."""
    if multi_label:
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            scores, targets, reduction="sum"
        )
        return float(losses), scores.sigmoid_().sub_(targets)
    logs = torch.log_softmax(scores, 1)
    losses = -torch.dot(logs.ravel(), targets.ravel())
    return float(losses), logs.exp_().sub_(targets)


def _sum(parts: Sequence[Tensor]) -> Tensor:
    """In their order; the first is where it is added up."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total


class _Point(NamedTuple):
    at: Tensor
    value: float
    gradient: Tensor


def _minimized(objective: _Objective, start: Tensor) -> _Point:
    point = objective(start)
    steps: list[tuple[Tensor, Tensor, float]] = []
    most = MOST[start.dtype]
    while objective.largest(point.gradient) > objective.tolerance and objective.evaluations < most:
        direction = _direction(point.gradient, steps)
        slope = float((point.gradient * direction).sum())
        found = _line_search(objective, point, direction, slope) if slope < 0 else None
        if found is None and not steps:
            break
        if found is None:
            steps.clear()
            continue
        step, change = found.at - point.at, found.gradient - point.gradient
        curvature = float((step * change).sum())
        if curvature > 0:
            steps.append((step, change, 1 / curvature))
            del steps[:-MEMORY]
        point = found
    return point


def _line_search(
    objective: _Objective, point: _Point, direction: Tensor, slope: float
) -> _Point | None:
    """Half of the way, and half again, until it is less steep and no higher; None: nowhere."""
    length = 1.0
    while length >= _SHORTEST:
        tried = objective(point.at + length * direction)
        ahead = float((tried.gradient * direction).sum())
        is_no_higher = tried.value <= point.value + _ROUNDING * abs(point.value)
        if is_no_higher and ahead <= (2 * _SUFFICIENT - 1) * slope:
            return tried
        length /= 2
    return None


def _direction(gradient: Tensor, steps: list[tuple[Tensor, Tensor, float]]) -> Tensor:
    """Two loops of L-BFGS (Nocedal 1980)."""
    direction, shares = -gradient, []
    for step, change, inverse in reversed(steps):
        share = inverse * float((step * direction).sum())
        direction = direction.sub(change, alpha=share)
        shares.append(share)
    if steps:
        _, change, inverse = steps[-1]
        direction = direction / (inverse * float(change.square().sum()))
    for (step, change, inverse), share in zip(steps, reversed(shares), strict=True):
        direction = direction.add(step, alpha=share - inverse * float((change * direction).sum()))
    return direction
