"""A linear classifier on frozen features: how much of a labelled task they already know.

Logistic regression with an L2 penalty on standardized features: of softmax where every image has
one label, one against the rest where some have none or several. C is chosen on a held-out part of
train, the classifier refitted on all of train and scored once on test. Beside it stands what the
nearest train images say, which nothing is fitted for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from cf_pipeline.benchmark.features import standardization
from cf_pipeline.benchmark.logistic import Fit, Problem, along, fit_path, principal_axes
from cf_pipeline.benchmark.workers import Workers, workers
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.average_precision import mean_average_precision
from cf_pipeline.metrics.classification import confusion_counts, mean_class_accuracy
from cf_pipeline.metrics.keyed import id_keys, keyed_uniforms
from cf_pipeline.metrics.ranking import Flags, Floats
from cf_pipeline.vectors import Indices, Matrix, unit_norm

STRENGTHS: tuple[float, ...] = tuple(float(c) for c in np.logspace(-6, 2, 17))
"""Grid of C, inverse regularization of the summed loss; strongest regularization first."""
WEAKER: tuple[float, ...] = tuple(float(c) for c in np.logspace(2.5, 5, 6))
STRONGER: tuple[float, ...] = tuple(float(c) for c in np.logspace(-9, -6.5, 6))
"""Where the best lies at an end of the grid, it goes on there."""
HELD_OUT_SHARE = 0.25
NEIGHBOURS = 10
_BLOCK = 1024

Labels = Sequence[Sequence[str]]
"""Labels of each image."""


@dataclass(frozen=True)
class Labelled:
    """Images of one side of a task.

    Attributes:
        image_ids: n of them.
        features: shape (n, d).
        labels: of each image.
    """

    image_ids: Sequence[str]
    features: Matrix
    labels: Labels


@dataclass(frozen=True)
class ProbeResult:
    """What the probe found on test.

    Attributes:
        strength: the chosen C.
        multi_label: whether images have any number of labels.
        classes: names of the class indices, sorted.
        image_ids: of test.
        positives: which images have which label, shape (n_test, n_classes).
        scores: of every image for every class, likewise; comparable within a class.
        predictions: index of the class with the highest score, shape (n_test,).
        neighbours: index of the class that the nearest train images say, likewise.
        held_out: C to the measure on the held-out part of train: mean class accuracy, or mean
            average precision of any number of labels.
        notes: what a reader must know, empty if nothing: no convergence, C at the grid's edge,
            classes of test that train lacks.
    """

    strength: float
    multi_label: bool
    classes: tuple[str, ...]
    image_ids: tuple[str, ...]
    positives: Flags
    scores: Floats
    predictions: Indices
    neighbours: Indices
    held_out: dict[float, float]
    notes: tuple[str, ...]

    @property
    def labels(self) -> Indices:
        """Class index of each test image, where each has one."""
        return np.asarray(self.positives.argmax(axis=1), dtype=np.int64)

    @property
    def confusion(self) -> Indices:
        """Test images by label (rows) and prediction, shape (n_classes, n_classes)."""
        return confusion_counts(self.labels, self.predictions, len(self.classes))


def linear_probe(train: Labelled, test: Labelled, *, seed: int) -> ProbeResult:
    """Choose C on train, refit, score once on test.

    Args:
        train: at least two classes.
        test: a label that train lacks counts as wrong and is noted.
        seed: with an image's id it says whether the image is held out.

    Raises:
        DataError: shapes disagree, a side is empty, or train has one class only.
    """
    _check(train, test)
    classes = tuple(sorted({label for side in (train, test) for of in side.labels for label in of}))
    y, y_test = (_positives(side.labels, classes) for side in (train, test))
    multi_label = not all(len(of) == 1 for side in (train, test) for of in side.labels)
    x, x_test = _standardized(train.features, test.features)
    known = torch.from_numpy(y.any(axis=0))
    held = torch.from_numpy(_held(train, y, multi_label, seed))
    with workers() as by:
        basis, variances = principal_axes(torch.from_numpy(x), by)
        targets = torch.from_numpy(y).float()[:, known]
        problem = Problem(along(torch.from_numpy(x), basis, by), targets, variances, multi_label)
        path = _held_out(problem, held, by)
        strength = path.best
        exact = Problem(problem.x.double(), targets.double(), variances.double(), multi_label)
        [near] = fit_path(problem, (strength,), path.fits[strength], by)
        [fit] = fit_path(exact, (strength,), near, by)
        scores = _all_classes(fit, (torch.from_numpy(x_test) @ basis).double(), known)
    return ProbeResult(
        strength=strength,
        multi_label=multi_label,
        classes=classes,
        image_ids=tuple(test.image_ids),
        positives=y_test,
        scores=scores,
        predictions=np.asarray(scores.argmax(axis=1), dtype=np.int64),
        neighbours=_neighbours(train.features, y, test.features),
        held_out=dict(sorted(path.measures.items())),
        notes=_notes(strength, path.ends, fit, [classes[i] for i in np.flatnonzero(~known)]),
    )


def _check(train: Labelled, test: Labelled) -> None:
    for name, side in (("train", train), ("test", test)):
        if len(side.labels) == 0 or side.features.shape[0] != len(side.labels):
            raise DataError(
                f"the probe needs the labels of each {name} image and at least one image: "
                f"{side.features.shape[0]} images, {len(side.labels)} of labels."
            )
    if train.features.shape[1] != test.features.shape[1]:
        raise DataError(
            f"train features have {train.features.shape[1]} dimensions, test features "
            f"{test.features.shape[1]}. Extract both with the same network."
        )
    known = {label for of in train.labels for label in of}
    if len(known) < 2:
        raise DataError(f"the probe needs at least two classes in train, got {sorted(known)}.")


def _positives(labels: Labels, classes: tuple[str, ...]) -> Flags:
    number = {name: column for column, name in enumerate(classes)}
    found = np.zeros((len(labels), len(classes)), dtype=np.bool_)
    for row, of_image in enumerate(labels):
        found[row, [number[label] for label in of_image]] = True
    return found


def _standardized(train: Matrix, test: Matrix) -> tuple[Matrix, Matrix]:
    mean, scale = standardization(train)
    return ((train - mean) * scale).astype(np.float32), ((test - mean) * scale).astype(np.float32)


def _held(train: Labelled, y: Flags, multi_label: bool, seed: int) -> Flags:
    """HELD_OUT_SHARE of the images by their ids; of single labels, of every class that has two."""
    places = keyed_uniforms(id_keys(train.image_ids, seed), 1)[:, 0]
    if multi_label:
        held = places < HELD_OUT_SHARE
    else:
        held = np.zeros(len(y), dtype=np.bool_)
        for column in range(y.shape[1]):
            members = np.flatnonzero(y[:, column])
            n = min(max(1, round(HELD_OUT_SHARE * len(members))), len(members) - 1)
            if n > 0:
                held[members[np.argsort(places[members], kind="stable")[:n]]] = True
    if not held.any() or held.all():
        raise DataError(
            "the probe cannot choose C: no class has two train images, so none can be held out. "
            "Use a task with more images per class."
        )
    return held


@dataclass(frozen=True)
class _Path:
    """What each C reached on the held-out part: its measure, its mean loss, and by which weights.

    A task that is told apart without a fault has no weakest penalty: weights grow for ever, steps
    are no longer taken and nothing more is learned. The path then has an end that is no edge.
    """

    measures: dict[float, float] = field(default_factory=dict)
    losses: dict[float, float] = field(default_factory=dict)
    fits: dict[float, Fit] = field(default_factory=dict)
    ends: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The C with the highest measure, of equals the one with the least loss."""
        return max(self.measures, key=lambda c: (self.measures[c], -self.losses[c]))


def _held_out(problem: Problem, held: torch.Tensor, by: Workers) -> _Path:
    """Every C of the grid, and further ones where the best is at an end of it."""
    fitted = problem._replace(x=problem.x[~held], targets=problem.targets[~held])
    asked = problem._replace(x=problem.x[held], targets=problem.targets[held])
    path = _Path()

    def go(strengths: tuple[float, ...], start: Fit | None = None) -> bool:
        """Whether the last C still moved weights."""
        fits = fit_path(fitted, strengths, start, by)
        moved = [number for number, fit in enumerate(fits) if fit.n_evaluations > 1]
        last = max(moved, default=0)
        for strength, fit in zip(strengths[: last + 1], fits, strict=False):
            path.measures[strength], path.losses[strength] = _measured(asked, fit)
            path.fits[strength] = fit
        return last == len(fits) - 1

    go(STRENGTHS)
    if path.best == STRENGTHS[-1]:
        if go(WEAKER, path.fits[STRENGTHS[-1]]):
            path.ends.append(WEAKER[-1])
    elif path.best == STRENGTHS[0]:
        go(STRONGER)
        path.ends.append(STRONGER[0])
    return path


def _measured(asked: Problem, fit: Fit) -> tuple[float, float]:
    """What C is chosen by, and the mean loss, which tells equals apart."""
    scores, targets = fit.scores(asked.x), asked.targets
    if asked.multi_label:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, targets)
        flags = np.asarray(targets.numpy() > 0, dtype=np.bool_)
        return mean_average_precision(scores.double().numpy(), flags), float(loss)
    labels, predictions = targets.argmax(1), scores.argmax(1)
    confusion = confusion_counts(labels.numpy(), predictions.numpy(), targets.shape[1])
    return mean_class_accuracy(confusion), float(torch.nn.functional.cross_entropy(scores, labels))


def _all_classes(fit: Fit, x: torch.Tensor, known: torch.Tensor) -> Floats:
    """Scores of every class; one that train lacks is below all others, alike for all images."""
    found = fit.scores(x)
    scores = torch.full((len(x), len(known)), float(found.min()) - 1, dtype=torch.float64)
    scores[:, known] = found
    return np.asarray(scores.numpy())


def _neighbours(train: Matrix, y: Flags, test: Matrix) -> Indices:
    """The class with most of the nearest by cosine, centred on train; nearer ones count more."""
    mean = train.mean(axis=0)
    here, there = unit_norm(train - mean), unit_norm(test - mean)
    k, labels = min(NEIGHBOURS, len(here)), y.astype(np.float32)
    parts = []
    for start in range(0, len(there), _BLOCK):
        cosines = there[start : start + _BLOCK] @ here.T
        nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        # Between 1 and 2, so that of as many neighbours the nearer ones decide.
        weights = 1.5 + np.take_along_axis(cosines, nearest, axis=1) / 2
        parts.append(np.einsum("nk,nkc->nc", weights, labels[nearest]).argmax(axis=1))
    return np.concatenate(parts).astype(np.int64)


def _notes(strength: float, ends: list[float], fit: Fit, unseen: list[str]) -> tuple[str, ...]:
    notes = []
    if not fit.is_done:
        notes.append(f"the fit at C = {strength:g} did not converge")
    if strength in ends:
        notes.append(f"C = {strength:g} is at the edge of the grid")
    if unseen:
        notes.append(f"classes without a train image, counted as wrong: {', '.join(unseen)}")
    return tuple(notes)
