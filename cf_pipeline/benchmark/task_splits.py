"""Which labelled images are fitted on and which are scored, where the makers did not say."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from cf_pipeline.benchmark.task_loaders.loader import Draws
from cf_pipeline.metrics.keyed import id_keys, rank_within

MAKERS, BY_LOOK, DRAWN = "makers", "look", "draws"
SPLIT_RULES = frozenset({MAKERS, BY_LOOK, DRAWN})
"""Who divides a task: its makers, hashes of look components, or draws of N images a class."""
SPLIT_WORDS = {
    MAKERS: "split by its makers",
    BY_LOOK: "split by look",
    DRAWN: "drawn class by class",
}
UNUSED = "unused"
"""The side of an image that a draw leaves out."""


def split_by_look(
    labels: Sequence[Sequence[str]], components: Sequence[str], test_share: float, seed: int
) -> list[str]:
    """`train` or `test` for every image, the same for all of a look component.

    A component is in test where the hash of (seed, its name) falls below `test_share`: a new image
    moves no other, unless it merges components. Then, classes in the order of their names: of a
    class of several components with none in test, the one with the lowest hash goes to test; of a
    class without a train image the one with the highest goes to train. So every class is trained
    on, and a class whose images all look alike is not scored.

    Args:
        labels: of each image, any number.
        components: look component of each image.
        test_share: share of components for test.
        seed: of the hashes.
    """
    place = {component: _place(component, seed) for component in set(components)}
    test = {component for component, share in place.items() if share < test_share}
    members: dict[str, set[str]] = {}
    for of_image, component in zip(labels, components, strict=True):
        for label in of_image:
            members.setdefault(label, set()).add(component)
    ordered = [
        sorted(members[label], key=lambda component: (place[component], component))
        for label in sorted(members)
    ]
    for of_class in ordered:
        if len(of_class) > 1 and test.isdisjoint(of_class):
            test.add(of_class[0])
    # Last, because a component may hold two classes and train must have every one.
    for of_class in ordered:
        if test.issuperset(of_class):
            test.remove(of_class[-1])
    return ["test" if component in test else "train" for component in components]


def drawn_split(
    image_ids: Sequence[str], labels: Sequence[str], draws: Draws, draw: int, seed: int
) -> list[str]:
    """`train`, `test` or `unused` for every image of one draw.

    Args:
        image_ids: each draws its own number, so that another image does not shuffle these.
        labels: of each image, one.
        draws: how many of a class.
        draw: which, from 0.
        seed: of all draws.
    """
    keys = id_keys(image_ids, (seed << 16) + draw)
    _, classes = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    train, test = draws.train_per_class, draws.test_per_class
    last = math.inf if test is None else train + test
    return [
        "train" if rank < train else "test" if rank < last else UNUSED
        for rank in rank_within(classes, keys)
    ]


def _place(component: str, seed: int) -> float:
    """Where a component stands in 0..1: the first 64 bits of SHA-256 of `seed:component`."""
    digest = hashlib.sha256(f"{seed}:{component}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
