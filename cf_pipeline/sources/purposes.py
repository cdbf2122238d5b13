"""What a data set says about the matrix and about the truth, in the form in which rooms take it."""

from __future__ import annotations

import polars as pl

from cf_pipeline.sources.dataset import Dataset


def matrix_weights(dataset: Dataset) -> dict[str, float]:
    """Kind of interaction to its weight, for kinds that enter the matrix."""
    return {name: kind.weight for name, kind in dataset.kinds.items() if kind.matrix}


def truth_kinds(dataset: Dataset) -> list[str]:
    """Kinds of interaction that count as truth when similarity is judged."""
    return sorted(name for name, kind in dataset.kinds.items() if kind.truth)


def owner_users(dataset: Dataset, projects: pl.DataFrame) -> pl.DataFrame:
    """Who owns what, written as users.

    Args:
        dataset: its `owner_user` says how an owner is written.
        projects: `project_id, owners LIST`.

    Returns:
        `project_id, user_id`, one row per project and owner.
    """
    before, _, after = dataset.users.owner_user.partition("{owner}")
    return (
        projects
        .select("project_id", "owners")
        .explode("owners", empty_as_null=True, keep_nulls=True)
        .drop_nulls()
        .select("project_id", user_id=pl.lit(before) + pl.col("owners") + pl.lit(after))
    )
