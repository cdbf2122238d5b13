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

from cf_pipeline.baselines.metaclass_config import MetaClass
from cf_pipeline.benchmark.features import standardization
from cf_pipeline.benchmark.logistic import Problem, along, fit_path, principal_axes
from cf_pipeline.benchmark.workers import Workers, workers
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.keyed import id_keys, rank_within
from cf_pipeline.metrics.ranking import Flags, Floats
from cf_pipeline.vectors import Indices, Matrix

STRENGTHS: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2)
"""Grid of C; by how many held-out images the classifiers know."""
_FLOOR = 1e-4
"""Of classes that were never taken for one another: the graph is of one piece."""


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
    image_ids: Sequence[str], labels: Sequence[str], features: Matrix, config: MetaClass
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
    mean, scale = standardization(chosen)
    x = torch.from_numpy(((chosen - mean) * scale).astype(np.float32))
    with workers() as by:
        basis, variances = principal_axes(x, by)
        problem = Problem(along(x, basis, by), torch.empty(0), variances, multi_label=True)
        strength, confusion = _confusion(problem, y, rank % 2 == 0, len(names), by)
        nodes = label_tree(confusion)
        members = _members(nodes, len(names))
        targets = torch.from_numpy(members[y]).float()
        [fit] = fit_path(problem._replace(targets=targets), (strength,), by=by)
        weights = (basis.double() @ fit.weights.double()).numpy()
    return MetaClasses(
        tuple(names.tolist()), nodes, mean, scale, weights, fit.intercepts.double().numpy()
    )


def label_tree(confusion: Floats) -> tuple[Node, ...]:
    """Classes divided in two by spectral clustering of who is taken for whom, until none is left.

    Args:
        confusion: share of each class's images that is taken for each class, rows true, (n, n).
    """
    affinity = (confusion + confusion.T) / 2 + _FLOOR
    nodes: list[Node] = []
    waiting: list[tuple[Indices, int | None]] = [(np.arange(len(confusion)), None)]
    while waiting:
        classes, parent = waiting.pop(0)
        for part in _halves(affinity[np.ix_(classes, classes)]):
            nodes.append(Node(tuple(classes[part].tolist()), parent))
            if len(part) > 1:
                waiting.append((classes[part], len(nodes) - 1))
    return tuple(nodes)


def _halves(affinity: Floats) -> list[Indices]:
    """The least normalized cut along the second eigenvector (Shi and Malik 2000).

    Each part has a quarter of the classes or more. Without that, what is taken for nothing else
    is cut off class by class, and groups are all classes but a few.
    """
    n, degrees = len(affinity), affinity.sum(axis=1)
    scale = 1 / np.sqrt(degrees)
    _, vectors = np.linalg.eigh(affinity * scale[:, np.newaxis] * scale)
    order = np.argsort(vectors[:, -2] * scale, kind="stable")
    ordered = affinity[np.ix_(order, order)]
    # Of the first k classes: what ties them to all, and to one another.
    ties = np.cumsum(degrees[order])[:-1]
    within = np.array([ordered[:k, :k].sum() for k in range(1, n)])
    cuts = (ties - within) * (1 / ties + 1 / (ties[-1] + degrees[order[-1]] - ties))
    fewest = max(1, n // 4)
    place = fewest + int(np.argmin(cuts[fewest - 1 : n - fewest]))
    # The part with the first class is first, whichever way the vector points.
    parts = (np.sort(order[:place]), np.sort(order[place:]))
    return sorted(parts, key=lambda part: int(part[0]))


def _confusion(
    problem: Problem, y: Indices, first: Flags, n_classes: int, by: Workers
) -> tuple[float, Floats]:
    """The C at which held-out halves are known best, and who is taken for whom there."""
    targets = torch.nn.functional.one_hot(torch.from_numpy(y), n_classes).float()
    n_known = dict.fromkeys(STRENGTHS, 0)
    sums = {strength: torch.zeros(n_classes, n_classes) for strength in STRENGTHS}
    for held in (torch.from_numpy(first), torch.from_numpy(~first)):
        part = problem._replace(x=problem.x[~held], targets=targets[~held])
        for strength, fit in zip(STRENGTHS, fit_path(part, STRENGTHS, by=by), strict=True):
            said = fit.scores(problem.x[held]).sigmoid()
            n_known[strength] += int((said.argmax(1) == targets[held].argmax(1)).sum())
            sums[strength] += targets[held].T @ (said / said.sum(1, keepdim=True))
    best = max(STRENGTHS, key=lambda strength: n_known[strength])
    return best, (sums[best] / targets.sum(0)[:, None]).double().numpy()


def _members(nodes: Sequence[Node], n_classes: int) -> Flags:
    """Which class belongs to which node, shape (n_classes, n_nodes)."""
    members = np.zeros((n_classes, len(nodes)), dtype=np.bool_)
    for column, node in enumerate(nodes):
        members[list(node.classes), column] = True
    return members
