"""Meta-class features (Bergamo and Torresani, CVPR 2012): what is an image like, of what is known?

Of a set with many classes a classifier is fitted for every class, and one for every group of
classes that are taken for one another: the inner nodes of a label tree (Bengio, Weston and
Grangier, NIPS 2010), which spectral clustering of the confusion between classes divides in two,
and in two again. Their scores describe an image of any other set. The groups answer where no class
does: what several classes share has more examples than any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cf_pipeline.baselines.metaclass_config import MetaClassConfig
from cf_pipeline.benchmark.logistic import Problem, fit_path, one_thread, principal_axes
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.classification import confusion_counts
from cf_pipeline.metrics.keyed import id_keys, rank_within
from cf_pipeline.metrics.ranking import Flags, Floats
from cf_pipeline.vectors import Indices, Matrix

STRENGTHS: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2)
"""Grid of C; by how many held-out images the classifiers know."""
_FLOOR = 1e-4
"""Confusion of classes that were never confused: the graph is of one piece."""


@dataclass(frozen=True)
class Node:
    """What one classifier tells from all else.

    Attributes:
        classes: indices of classes.
        parent: index of the node that it is a part of; None: of all classes.
    """

    classes: tuple[int, ...]
    parent: int | None


@dataclass(frozen=True)
class MetaClasses:
    """Classifiers of the nodes of a label tree.

    Attributes:
        classes: their names.
        nodes: inner nodes and classes, parents before their parts; the top is none.
        mean: of each base feature, shape (d,).
        scale: one over its deviation, likewise.
        weights: shape (d, n_nodes).
        intercepts: shape (n_nodes,).
    """

    classes: tuple[str, ...]
    nodes: tuple[Node, ...]
    mean: Floats
    scale: Floats
    weights: Floats
    intercepts: Floats

    def describe(self, features: Matrix, binary: bool = False) -> Matrix:
        """Scores of every node, (n, d) to (n, n_nodes); 0 or 1 where they are cut."""
        scores = ((features - self.mean) * self.scale) @ self.weights + self.intercepts
        return np.asarray(scores > 0 if binary else scores, dtype=np.float32)


def learn_metaclasses(
    image_ids: Sequence[str], labels: Sequence[str], features: Matrix, config: MetaClassConfig
) -> MetaClasses:
    """Learn from labelled images.

    Args:
        image_ids: n, distinct; they decide which images are taken.
        labels: class of each image.
        features: of a network, shape (n, d).
        config: how many images, and the seed.

    Raises:
        DataError: there are not three classes of two images.
    """
    keys = id_keys(image_ids, config.seed)
    classes, y = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    rank = rank_within(y, keys)
    counts = np.bincount(y)
    usable = (counts[y] > 1) & (rank < config.most_per_class)
    names = classes[counts > 1]
    if len(names) < 3:
        raise DataError(
            f"meta-classes need three classes of two images or more, there are {len(names)}. Add "
            "labelled tasks to benchmark.tasks."
        )
    y, rank, chosen = np.searchsorted(names, classes[y[usable]]), rank[usable], features[usable]
    mean = chosen.mean(axis=0, dtype=np.float64)
    deviation = chosen.std(axis=0, dtype=np.float64)
    constant = deviation <= 1e-7 * np.abs(mean)
    scale = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
    x = torch.from_numpy(((chosen - mean) * scale).astype(np.float32))
    with one_thread():
        basis, variances = principal_axes(x)
        problem = Problem(x @ basis, torch.empty(0), variances, multi_label=True)
        strength, confusion = _confusion(problem, y, rank % 2 == 0, len(names))
        nodes = label_tree(confusion, config.seed)
        members = _members(nodes, len(names))
        targets = torch.from_numpy(members[y]).float()
        [fit] = fit_path(problem._replace(targets=targets), (strength,))
        weights = (basis.double() @ fit.weights.double()).numpy()
    return MetaClasses(
        tuple(names.tolist()), nodes, mean, scale, weights, fit.intercepts.double().numpy()
    )


def label_tree(confusion: Indices, seed: int) -> tuple[Node, ...]:
    """Classes divided in two by spectral clustering of who is taken for whom, until none is left.

    Args:
        confusion: counts, rows true, columns predicted, shape (n, n).
        seed: of the eigenvectors' start.
    """
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    affinity = (shares + shares.T) / 2 + _FLOOR
    nodes: list[Node] = []
    waiting: list[tuple[Indices, int | None]] = [(np.arange(len(confusion)), None)]
    while waiting:
        classes, parent = waiting.pop(0)
        for part in _halves(affinity[np.ix_(classes, classes)], seed):
            nodes.append(Node(tuple(classes[part].tolist()), parent))
            if len(part) > 1:
                waiting.append((classes[part], len(nodes) - 1))
    return tuple(nodes)


def _halves(affinity: Floats, seed: int) -> list[Indices]:
    from sklearn.cluster import SpectralClustering  # loads slowly

    if len(affinity) == 2:
        return [np.array([0]), np.array([1])]
    clustering = SpectralClustering(
        2, affinity="precomputed", assign_labels="cluster_qr", random_state=seed
    )
    side = clustering.fit_predict(affinity)
    side = side if 0 < side.sum() < len(side) else np.arange(len(side)) % 2
    # The part with the first class is first, whatever it was called.
    return sorted((np.flatnonzero(side == value) for value in (0, 1)), key=lambda part: part[0])


def _confusion(problem: Problem, y: Indices, first: Flags, n_classes: int) -> tuple[float, Indices]:
    """The C at which held-out halves are known best, and who was taken for whom there."""
    targets = torch.nn.functional.one_hot(torch.from_numpy(y), n_classes).float()
    counts = {strength: np.zeros((n_classes, n_classes), dtype=np.int64) for strength in STRENGTHS}
    for held in (torch.from_numpy(first), torch.from_numpy(~first)):
        part = problem._replace(x=problem.x[~held], targets=targets[~held])
        for strength, fit in zip(STRENGTHS, fit_path(part, STRENGTHS), strict=True):
            guessed = fit.scores(problem.x[held]).argmax(1).numpy()
            counts[strength] += confusion_counts(y[held.numpy()], guessed, n_classes)
    best = max(STRENGTHS, key=lambda strength: np.trace(counts[strength]))
    return best, counts[best]


def _members(nodes: Sequence[Node], n_classes: int) -> Flags:
    """Which class belongs to which node, shape (n_classes, n_nodes)."""
    members = np.zeros((n_classes, len(nodes)), dtype=np.bool_)
    for column, node in enumerate(nodes):
        members[list(node.classes), column] = True
    return members
