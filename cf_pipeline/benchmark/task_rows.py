"""Rows of a labelled set: which are wanted, and whether what is left is a task."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from cf_pipeline.benchmark.task_loaders.loader import TaskLoader


def wanted(rows: pl.DataFrame, loader: TaskLoader) -> pl.DataFrame:
    """Without the labels that are left out; an image that had no other has a reason."""
    if not loader.leave_out:
        return rows
    return _without(rows, loader.leave_out, pl.lit("its label is left out"))


def _without(rows: pl.DataFrame, labels: Collection[str], reason: pl.Expr) -> pl.DataFrame:
    """Without some labels; an image that had no other keeps them, and has a reason."""
    is_kept = ~pl.element().is_in(list(labels))
    kept = pl.col("labels").list.eval(pl.element().filter(is_kept))
    emptied = (pl.col("labels").list.len() > 0) & (kept.list.len() == 0)
    return rows.with_columns(
        labels=pl.when(emptied).then("labels").otherwise(kept),
        reason=pl.when(emptied & pl.col("reason").is_null()).then(reason).otherwise("reason"),
    )


def fewest(loader: TaskLoader) -> int:
    """Images that a class must have; of draws one more than train takes."""
    draws = loader.draws()
    return max(loader.min_per_class, 1 if draws is None else draws.train_per_class + 1)


def without_small_classes(rows: pl.DataFrame, fewest: int) -> tuple[pl.DataFrame, list[str]]:
    """Rows without the labels of classes of fewer usable images, and which these are."""
    usable = rows.filter(pl.col("reason").is_null()).explode("labels").drop_nulls("labels")
    counts = usable.group_by("labels").len().filter(pl.col("len") < fewest)
    small = dict(counts.sort("labels").iter_rows())
    if not small:
        return rows, []
    reason = pl.format(
        "expected classes of {} images or more, {} has fewer",
        pl.lit(fewest),
        pl.col("labels").list.join(", "),
    )
    return _without(rows, small, reason), list(small)


def problem_of(images: pl.DataFrame, n_rejected: int) -> str | None:
    """Why images are no task; None where they are.

    A probe needs classes to tell apart, all of them in train, and something to score.
    """
    train, test = (
        set(images.filter(split=side)["labels"].explode().drop_nulls())
        for side in ("train", "test")
    )
    turned_away = f"{n_rejected} rows were turned away"
    if len(train | test) < 2:
        return (
            "expected two classes or more, all images are labelled "
            f"{min(train | test, default='not at all')!r} ({turned_away}). Add images of another "
            "class."
        )
    if test - train:
        return (
            f"expected a train image of every class, {len(test - train)} have none, "
            f"the first is {min(test - train)!r} ({turned_away}). Move images to train, leave "
            "out the column split, or leave such classes out by leave_out."
        )
    if not test:
        return (
            f"expected test images, all {len(images)} are in train ({turned_away}). Add "
            "images, or raise benchmark.task_test_share."
        )
    return None


def n_test_seen(images: pl.DataFrame) -> int:
    """Test images that look like a train image, as only sets with a split of their own have."""
    train = images.filter(pl.col("split") == "train")["look_component"].unique()
    in_train = pl.col("look_component").is_in(train.implode())
    return images.filter((pl.col("split") == "test") & in_train).height
