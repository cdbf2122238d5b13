"""A linear classifier on frozen features: how much of a labelled task they already know.

Multinomial logistic regression with an L2 penalty on standardized features. C is chosen on a
held-out stratified part of train by mean class accuracy, the classifier refitted on all of train
and scored once on test. With fewer images than features the problem is rotated into the span of
the images first, which leaves penalty, optimum and predictions as they are. Newton's method with
conjugate gradients, because L-BFGS took six times as long and stopped ten times as far away.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from cf_pipeline.errors import DataError
from cf_pipeline.metrics.classification import (
    accuracy,
    confusion_counts,
    correct,
    mean_class_accuracy,
)
from cf_pipeline.metrics.intervals import Interval, group_bootstrap, mean_class_accuracy_bootstrap
from cf_pipeline.metrics.ranking import Flags, Floats
from cf_pipeline.vectors import Indices, Matrix

STRENGTHS: tuple[float, ...] = tuple(float(c) for c in np.logspace(-5, 1, 13))
"""Grid of C, inverse regularization of the summed loss; strongest regularization first."""
HELD_OUT_SHARE = 0.25
MAX_ITERATIONS = 200
TOLERANCE = 1e-6
"""Largest gradient component of the mean objective at which the solver stops."""


@dataclass(frozen=True)
class ProbeResult:
    """What the probe found on test.

    Attributes:
        strength: the chosen C.
        metrics: `mean_class_accuracy` and `accuracy`.
        labels: class index of each test item, shape (n_test,).
        is_correct: whether each was predicted, shape (n_test,).
        confusion: items by label (rows) and prediction, shape (n_classes, n_classes).
        classes: names of the class indices, sorted.
        held_out: C to mean class accuracy on the held-out part of train.
        notes: what a reader must know, empty if nothing: no convergence, C at the grid's edge,
            classes of test that train lacks.
    """

    strength: float
    metrics: dict[str, float]
    labels: Indices
    is_correct: Flags
    confusion: Indices
    classes: tuple[str, ...]
    held_out: dict[float, float]
    notes: tuple[str, ...]

    def intervals(
        self, *, groups: Indices | None = None, n_resamples: int = 2000, seed: int = 0
    ) -> dict[str, Interval]:
        """95 % bootstrap intervals of the metrics over test items.

        Args:
            groups: items that are drawn together, shape (n_test,); None: every item alone.
            n_resamples: bootstrap resamples.
            seed: of the draws.
        """
        drawn = np.arange(len(self.labels)) if groups is None else groups
        return {
            "mean_class_accuracy": mean_class_accuracy_bootstrap(
                self.is_correct, self.labels, drawn, n_resamples, seed
            ),
            "accuracy": group_bootstrap(
                self.is_correct.astype(np.float64), drawn, n_resamples, seed
            ),
        }


def linear_probe(
    train_features: Matrix,
    train_labels: Sequence[str],
    test_features: Matrix,
    test_labels: Sequence[str],
    *,
    seed: int,
) -> ProbeResult:
    """Choose C on train, refit, score once on test.

    Args:
        train_features: shape (n_train, d).
        train_labels: class names, n_train of them.
        test_features: shape (n_test, d).
        test_labels: class names; one that train lacks counts as wrong and is noted.
        seed: draws the held-out part.

    Raises:
        DataError: shapes disagree, a side is empty, or train has one class only.
    """
    _check(train_features, train_labels, test_features, test_labels)
    classes, index = np.unique([*train_labels, *test_labels], return_inverse=True)
    y, y_test = np.split(index.astype(np.int64), [len(train_labels)])
    x, x_test = _rotated(*_standardized(train_features, test_features))
    held_out, unfinished = _held_out_accuracies(x, y, len(classes), seed)
    # max keeps the first of equals, which is the strongest regularization.
    strength = max(held_out, key=lambda c: held_out[c])
    model = _model(strength)
    converged = _fit(model, x, y)
    predictions = np.asarray(model.predict(x_test), dtype=np.int64)
    confusion = confusion_counts(y_test, predictions, len(classes))
    unseen = sorted(set(y_test.tolist()) - set(y.tolist()))
    return ProbeResult(
        strength=strength,
        metrics={
            "mean_class_accuracy": mean_class_accuracy(confusion),
            "accuracy": accuracy(confusion),
        },
        labels=y_test,
        is_correct=correct(y_test, predictions),
        confusion=confusion,
        classes=tuple(str(name) for name in classes),
        held_out=held_out,
        notes=_notes(strength, converged, unfinished, [str(classes[i]) for i in unseen]),
    )


def _check(
    train_features: Matrix,
    train_labels: Sequence[str],
    test_features: Matrix,
    test_labels: Sequence[str],
) -> None:
    sides = {"train": (train_features, train_labels), "test": (test_features, test_labels)}
    for side, (features, labels) in sides.items():
        if len(labels) == 0 or features.shape[0] != len(labels):
            raise DataError(
                f"the probe needs one {side} label per image and at least one: "
                f"{features.shape[0]} images, {len(labels)} labels."
            )
    if train_features.shape[1] != test_features.shape[1]:
        raise DataError(
            f"train features have {train_features.shape[1]} dimensions, test features "
            f"{test_features.shape[1]}. Extract both with the same network."
        )
    if len(set(train_labels)) < 2:
        raise DataError(
            f"the probe needs at least two classes in train, got {sorted(set(train_labels))}."
        )


def _standardized(train: Matrix, test: Matrix) -> tuple[Floats, Floats]:
    """Mean 0 and deviation 1 on train; a constant feature becomes 0 there."""
    mean = train.mean(axis=0, dtype=np.float64)
    deviation = train.std(axis=0, dtype=np.float64)
    # Rounding leaves a constant float32 feature a deviation of the order of its last bit.
    constant = deviation <= 1e-7 * np.abs(mean)
    scale = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
    return (train - mean) * scale, (test - mean) * scale


def _rotated(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """The same problem in n_train dimensions where there are fewer images than features.

    X' = Q R: the optimal weights lie in the span of the images, so weights V = Q' W have the same
    norm and X Q V the same scores.
    """
    if train.shape[0] >= train.shape[1]:
        return train, test
    basis, upper = np.linalg.qr(train.T)
    return np.ascontiguousarray(upper.T), test @ basis


def _held_out_accuracies(
    x: Floats, y: Indices, n_classes: int, seed: int
) -> tuple[dict[float, float], list[float]]:
    """Mean class accuracy of every C on a held-out part of train, and which did not converge."""
    held = _stratified_part(y, np.random.default_rng(seed))
    if not held.any():
        raise DataError(
            "the probe cannot choose C: no class has two train images, so none can be held out. "
            "Use a task with more images per class."
        )
    # Each fit starts from the solution of the one before, which lies near it.
    model = _model(STRENGTHS[0], warm_start=True)
    accuracies: dict[float, float] = {}
    unfinished = []
    for strength in STRENGTHS:
        model.set_params(C=strength)
        if not _fit(model, x[~held], y[~held]):
            unfinished.append(strength)
        confusion = confusion_counts(y[held], model.predict(x[held]), n_classes)
        accuracies[strength] = mean_class_accuracy(confusion)
    return accuracies, unfinished


def _stratified_part(labels: Indices, rng: np.random.Generator) -> Flags:
    """HELD_OUT_SHARE of every class, at least one where it has two, shape (n,)."""
    held = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        n = min(max(1, round(HELD_OUT_SHARE * len(members))), len(members) - 1)
        held[members[:n]] = True
    return held


def _model(strength: float, *, warm_start: bool = False) -> LogisticRegression:
    return LogisticRegression(
        C=strength,
        solver="newton-cg",
        max_iter=MAX_ITERATIONS,
        tol=TOLERANCE,
        warm_start=warm_start,
    )


def _fit(model: LogisticRegression, x: Floats, y: Indices) -> bool:
    """Fit and say whether the gradient vanished, whatever the solver says of itself."""
    # Products with as many columns as classes are too small to share: on a busy machine a second
    # BLAS thread made the fit five times slower.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="(?i).*line ?search.*")
        model.fit(x, y)
    return _largest_gradient(model, x, y) <= 10 * TOLERANCE


def _largest_gradient(model: LogisticRegression, x: Floats, y: Indices) -> float:
    """Largest component of the gradient of mean cross-entropy + |W|^2 / (2 C n)."""
    n = len(x)
    probabilities = np.asarray(model.predict_proba(x), dtype=np.float64)
    errors = probabilities - (y[:, np.newaxis] == model.classes_)
    if len(model.classes_) == 2:
        # Two classes have one weight vector, that of the second.
        errors = errors[:, 1:]
    weights = errors.T @ x / n + model.coef_ / (model.C * n)
    return max(float(np.abs(weights).max()), float(np.abs(errors.mean(axis=0)).max()))


def _notes(
    strength: float, converged: bool, unfinished: list[float], unseen: list[str]
) -> tuple[str, ...]:
    notes = []
    if not converged:
        notes.append(f"the final fit at C = {strength:g} did not converge")
    if unfinished:
        values = ", ".join(f"{c:g}" for c in unfinished)
        notes.append(f"fits while choosing C did not converge: {values}")
    if strength in {STRENGTHS[0], STRENGTHS[-1]}:
        notes.append(f"C = {strength:g} is at the edge of the grid")
    if unseen:
        notes.append(f"classes without a train image, counted as wrong: {', '.join(unseen)}")
    return tuple(notes)
