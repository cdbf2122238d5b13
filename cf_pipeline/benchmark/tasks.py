"""Labelled sets of images: read, checked, split.

A task loader says which images there are. Where their makers fixed no split, train is drawn class
by class, if the loader says so, or look components are hashed into train and test, so that no test
image looks like a train image. What cannot be used is returned with its reason.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from cf_pipeline.benchmark.task_loaders.loader import Draws, TaskLoader
from cf_pipeline.benchmark.task_rows import (
    fewest,
    n_test_seen,
    problem_of,
    wanted,
    without_small_classes,
)
from cf_pipeline.benchmark.task_splits import (
    BY_LOOK,
    DRAWN,
    MAKERS,
    drawn_split,
    split_by_look,
)
from cf_pipeline.errors import DataError
from cf_pipeline.vectors import Progress, silent
from cf_pipeline.vision.config import CoversConfig
from cf_pipeline.vision.covers import CoverInspection, inspect_covers, map_covers
from cf_pipeline.vision.looks import assign_looks

logger = logging.getLogger(__name__)

IMAGE_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("task", "image_id", "path", "sha256", "label"), pl.String),
    "labels": pl.List(pl.String),
    **dict.fromkeys(("split", "look_component"), pl.String),
}
REJECTED_SCHEMA: dict[str, Any] = dict.fromkeys(
    ("task", "image_id", "path", "label", "reason"), pl.String
)
DRAW_SCHEMA: dict[str, Any] = {
    "task": pl.String,
    "draw": pl.Int64,
    "image_id": pl.String,
    "split": pl.String,
}
FACT_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("task", "variant", "split_rule"), pl.String),
    "is_multi_label": pl.Boolean,
    **dict.fromkeys(
        ("n_listed", "n_found", "n_used", "n_classes", "n_draws", "n_covers", "n_test_seen"),
        pl.Int64,
    ),
    **dict.fromkeys(("left_out", "told"), pl.List(pl.String)),
}


SEEN = "seen: "
"""How reasons begin of images that the network of this home was trained or chosen on."""


class SeenError(DataError):
    """So much of a set is what the network was trained on that there is nothing left to ask."""


@dataclass(frozen=True)
class BenchmarkTask:
    """A labelled set, ready to be embedded.

    Attributes:
        images: rows of IMAGE_SCHEMA, one per image in the order of the loader; `path` is where
            the file is, `label` its class where it has one alone.
        rejected: rows of REJECTED_SCHEMA, what was left out.
        draws: rows of DRAW_SCHEMA, the second and further draws; the first is in `images`.
        facts: of FACT_SCHEMA.
    """

    images: pl.DataFrame
    rejected: pl.DataFrame
    draws: pl.DataFrame
    facts: dict[str, Any]


@dataclass(frozen=True)
class TaskRules:
    """How every set is checked and split, whoever reads it.

    Attributes:
        test_share: share of a set's look components for test, where it has no split of its own.
        seed: of that split, and of draws.
        covers: how images are checked and when two look alike.
        n_threads: how many images are decoded at once.
        fitted: SHA-256 of covers that the network of this home was trained or chosen on; the same
            files are left out of tasks.
        held_out: those of its other covers.
    """

    test_share: float
    seed: int
    covers: CoversConfig
    n_threads: int = 1
    fitted: Collection[str] = frozenset()
    held_out: Collection[str] = frozenset()


def read_task(
    name: str, loader: TaskLoader, rules: TaskRules, progress: Progress = silent
) -> BenchmarkTask:
    """Read one labelled set.

    Args:
        name: of the task.
        loader: where it lies and how it is laid out.
        rules: how images are checked and split.
        progress: called as images are checked.

    Raises:
        ConfigError: the set is not where its settings say.
        SeenError: what the network was not trained on is no task.
        DataError: it cannot be read, or no image of it; or there are not two classes, a test
            image, and a train image of every class.
    """
    rows = wanted(_listed(loader), loader)
    where = f"{name} ({loader.folder_read()})"
    usable = rows.filter(pl.col("reason").is_null())
    checked, found = _checked(usable, loader, rules, progress)
    checked, small = without_small_classes(checked, fewest(loader))
    images = checked.filter(pl.col("reason").is_null())
    rejected = pl.concat([rows.drop_nulls("reason"), checked.drop_nulls("reason")], how="diagonal")
    was_seen = rejected["reason"].str.starts_with(SEEN).any()
    images, draws, rule = _split(images, loader.draws(), rules)
    problem = _no_image(rejected) if images.is_empty() else problem_of(images, len(rejected))
    if problem is not None and was_seen:
        raise SeenError(f"{where}: too much of it is what the network is trained on: {problem}")
    if problem is not None:
        raise DataError(f"{where}: {problem}")
    n_seen = n_test_seen(images)
    if n_seen:
        logger.warning("%s: %d test images look like a train image of its split", name, n_seen)
    facts: dict[str, Any] = {
        "variant": loader.variant(),
        "split_rule": rule,
        "is_multi_label": bool((images["labels"].list.len() != 1).any()),
        "n_listed": len(rows),
        "n_found": found,
        "n_used": len(images),
        "n_classes": images["labels"].explode().drop_nulls().n_unique(),
        "n_draws": 1 + draws["draw"].n_unique(),
        "n_covers": images["sha256"].is_in(list(rules.held_out)).sum(),
        "n_test_seen": n_seen,
        "left_out": small,
        "told": list(loader.told),
    }
    single = pl.when(pl.col("labels").list.len() == 1).then(pl.col("labels").list.first())
    return BenchmarkTask(
        _in(IMAGE_SCHEMA, images.with_columns(task=pl.lit(name), label=single)),
        _in(
            REJECTED_SCHEMA,
            rejected.with_columns(task=pl.lit(name), label=pl.col("labels").list.join(", ")),
        ),
        _in(DRAW_SCHEMA, draws.with_columns(task=pl.lit(name))),
        {"task": name, **facts},
    )


def _no_image(rejected: pl.DataFrame) -> str:
    first = str(rejected["reason"][0]) if len(rejected) else "it lists no image"
    return (
        f"none of its {len(rejected)} rows can be used, the first because: {first}. Check the "
        "paths in it and the images beside it."
    )


def _in(schema: dict[str, Any], rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.col(name).cast(kind) for name, kind in schema.items())


def _listed(loader: TaskLoader) -> pl.DataFrame:
    """Rows of a loader, each with a list of labels."""
    rows = loader.read()
    return rows if "labels" in rows.columns else rows.with_columns(labels=pl.concat_list("label"))


def _checked(
    rows: pl.DataFrame, loader: TaskLoader, rules: TaskRules, progress: Progress
) -> tuple[pl.DataFrame, int]:
    """Rows with `sha256` and `look_component`, or with a `reason`; and how many files there are."""
    paths = [Path(path) for path in rows["path"]]
    found = inspect_covers(paths, rules.covers.max_pixels, rules.n_threads, progress)
    signatures = [inspection.signature for inspection in found]
    _, components = assign_looks(rows["image_id"].to_list(), signatures, rules.covers)
    dead = loader.placeholders()

    def look(row: int) -> tuple[str | None, str | None]:
        """SHA-256 of a file and why it cannot be used."""
        if found[row].status == "missing" or (found[row].status != "ok" and not dead):
            return None, _reason(found[row])
        content = paths[row].read_bytes()
        if dead and hashlib.sha1(content, usedforsecurity=False).hexdigest() in dead:
            return None, "placeholder: a server sent it in the place of a picture that is gone"
        digest = hashlib.sha256(content).hexdigest()
        if digest in rules.fitted:
            return (
                digest,
                SEEN + "the same file is a cover that the network is trained or chosen on",
            )
        return digest, _reason(found[row])

    looks = map_covers(look, len(paths), rules.n_threads)
    n_found = sum(inspection.status != "missing" for inspection in found)
    return rows.with_columns(
        pl.Series("sha256", [digest for digest, _ in looks], dtype=pl.String),
        pl.Series("reason", [reason for _, reason in looks], dtype=pl.String),
        pl.Series("look_component", components, dtype=pl.String),
    ), n_found


def _reason(found: CoverInspection) -> str | None:
    return None if found.status == "ok" else f"{found.status}: {found.reason}"


def _split(
    images: pl.DataFrame, draws: Draws | None, rules: TaskRules
) -> tuple[pl.DataFrame, pl.DataFrame, str]:
    """Images with their `split`, rows of further draws, and who divided them."""
    none = pl.DataFrame(schema=DRAW_SCHEMA).drop("task")
    if "split" in images.columns:
        return images, none, MAKERS
    labels, ids = images["labels"].to_list(), images["image_id"].to_list()
    if draws is None:
        components = images["look_component"].to_list()
        sides = split_by_look(labels, components, rules.test_share, rules.seed)
        return images.with_columns(pl.Series("split", sides, dtype=pl.String)), none, BY_LOOK
    if any(len(of_image) != 1 for of_image in labels):
        raise DataError(
            "expected one label an image where train is drawn class by class, some have none or "
            "several. Give the set a split, or a loader without draws."
        )
    first = [of_image[0] for of_image in labels]
    of_draws = [drawn_split(ids, first, draws, draw, rules.seed) for draw in range(draws.n)]
    further = [
        images.select(pl.lit(draw, pl.Int64).alias("draw"), "image_id", pl.Series("split", sides))
        for draw, sides in enumerate(of_draws[1:], start=1)
    ]
    drawn = images.with_columns(pl.Series("split", of_draws[0], dtype=pl.String))
    return drawn, pl.concat([none, *further]), DRAWN
