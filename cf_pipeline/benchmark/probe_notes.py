"""What a model could have known of a labelled task before it was asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cf_pipeline.benchmark.feature_sets import (
    IMAGENET,
    IMAGENET_LEVELS,
    LAYERS,
    METACLASS,
)

Origins = Mapping[str, Collection[str]]
"""Feature set to those that it stands on, itself among them."""


def origins(starts_pretrained: bool) -> dict[str, frozenset[str]]:
    """What each shipped feature set stands on.

    Args:
        starts_pretrained: whether our network starts from weights of a labelled one.
    """
    of_labels = frozenset({IMAGENET})
    ours = of_labels if starts_pretrained else frozenset[str]()
    return {
        IMAGENET: of_labels,
        IMAGENET_LEVELS: of_labels,
        METACLASS: of_labels,
        **dict.fromkeys(LAYERS, ours),
    }


def note(
    feature_set: str, facts: Mapping[str, Any], stands_on: Origins, trained_on: Collection[str]
) -> str | None:
    """What is said beside the scores of a feature set on a task; None: nothing.

    Args:
        feature_set: which.
        facts: `told` and `n_covers` of the task.
        stands_on: what feature sets stand on.
        trained_on: tasks that meta-classes were learned from.
    """
    told = sorted({feature_set, *stands_on.get(feature_set, ())} & {*facts["told"]})
    said = []
    if told:
        said.append(f"labels like these were told to the makers of {', '.join(told)}")
    if feature_set == METACLASS:
        said.append(f"learned from the labels of {', '.join(sorted(trained_on))}")
    if feature_set in LAYERS and facts["n_covers"]:
        said.append(
            f"{facts['n_covers']} of its images are held-out covers of the data set that it is "
            "trained on, whose audiences may follow these labels"
        )
    return "; ".join(said) or None
