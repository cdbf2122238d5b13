"""What a data set says about the matrix and about the truth, in the form in which rooms take it."""

from __future__ import annotations

from cf_pipeline.benchmark.inputs import TruthRules
from cf_pipeline.sources.dataset import Dataset


def matrix_weights(dataset: Dataset) -> dict[str, float]:
    """Kind of interaction to its weight, for kinds that enter the matrix."""
    return {name: kind.weight for name, kind in dataset.kinds.items() if kind.matrix}


def truth_rules(dataset: Dataset) -> TruthRules:
    """Which events similarity is judged by, and which of them are owners' own."""
    return TruthRules(
        kinds=tuple(sorted(name for name, kind in dataset.kinds.items() if kind.truth)),
        excluded_users=tuple(dataset.users.exclude_users),
        owner_user=dataset.users.owner_user,
        min_degree=dataset.truth.min_degree,
    )
