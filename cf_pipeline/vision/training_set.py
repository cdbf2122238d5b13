"""What the network may see: covers of representatives, their factors, and their half."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from cf_pipeline.errors import DataError


def select_training_set(
    factors: pl.DataFrame, covers: pl.DataFrame, split: pl.DataFrame, degrees: pl.DataFrame
) -> pl.DataFrame:
    """Projects with a readable cover and a factor, in train and validation.

    Args:
        factors: `id, factors, folded_in` of projects.
        covers: `project_id, path, sha256, status, width, height`.
        split: `project_id, split`.
        degrees: `project_id, degree`, users of a project in the pruned matrix.

    Returns:
        `project_id, sha256, factors, degree, split, width, height, path`, sorted by project_id.

    Raises:
        DataError: a train project was folded in or a held-out one was factorized, or one half is
            empty.
    """
    table = (
        factors
        .rename({"id": "project_id"})
        .join(covers.filter(pl.col("status") == "ok"), on="project_id")
        .join(split, on="project_id")
        .join(degrees, on="project_id")
    )
    leaked = table.filter(pl.col("folded_in") == (pl.col("split") == "train"))
    if leaked.height:
        raise DataError(
            f"{leaked.height} projects are factorized as one split and held out as another, the "
            f"first is {leaked['project_id'][0]!r}. latent_factors and project_split do not belong "
            "together: materialize latent_factors again."
        )
    kept = table.filter(pl.col("split") != "test").select(
        "project_id", "sha256", "factors", "degree", "split", "width", "height", "path"
    )
    counts = dict(kept.group_by("split").len().iter_rows())
    for half in ("train", "validation"):
        if not counts.get(half):
            raise DataError(
                f"training_set has no {half} projects: {kept.height} of {factors.height} projects "
                "with factors have a readable cover. Check covers, or loosen pruning and split."
            )
    return kept.sort("project_id")


def example_covers(table: pl.DataFrame, n: int = 120) -> list[Path]:
    """Covers of some train projects, the same ones for the same table, for a picture.

    Args:
        table: as `select_training_set` returns it.
        n: at most so many.
    """
    train = table.filter(pl.col("split") == "train")
    return [Path(path) for path in train.sample(min(n, train.height), seed=0)["path"]]
