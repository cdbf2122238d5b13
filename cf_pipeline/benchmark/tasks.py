"""Labelled sets of images: read, checked, split by look.

A task loader says which images there are. Without a split of their makers, look components are
hashed into train and test, so that no test image looks like a train image. What cannot be used is
returned with its reason.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cf_pipeline.benchmark.task_loaders.loader import TaskLoader
from cf_pipeline.errors import DataError
from cf_pipeline.vectors import Progress, silent
from cf_pipeline.vision.config import CoversConfig
from cf_pipeline.vision.covers import CoverInspection, inspect_covers, map_covers
from cf_pipeline.vision.looks import assign_looks

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchmarkTask:
    """A labelled set, ready to be embedded.

    Attributes:
        images: `task, image_id, path, sha256, label, split, look_component`, one row per image in
            the order of the loader; path is where the file is.
        rejected: `task, image_id, path, label, reason`, the rows left out.
        n_test_seen: test images that look like a train image; above 0 only where a set
            brings its own split.
    """

    images: pl.DataFrame
    rejected: pl.DataFrame
    n_test_seen: int


@dataclass(frozen=True)
class TaskRules:
    """How every set is checked and split, whoever reads it.

    Attributes:
        test_share: share of a set's look components for test, where it has no split of its own.
        seed: of that split.
        covers: how images are checked and when two look alike.
        n_threads: how many images are decoded at once.
    """

    test_share: float
    seed: int
    covers: CoversConfig
    n_threads: int = 1


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
        DataError: it cannot be read, or no image of it; or there are not two classes, a test
            image, and a train image of every class.
    """
    rows = loader.read().select(pl.lit(name).alias("task"), pl.all())
    where = f"{name} ({loader.folder_read()})"
    checked = _checked(rows.filter(pl.col("reason").is_null()), rules, progress)
    rejected = pl.concat([rows.drop_nulls("reason"), checked.drop_nulls("reason")], how="diagonal")
    images = checked.filter(pl.col("reason").is_null())
    if images.is_empty():
        raise DataError(
            f"{where}: none of its {len(rows)} rows can be used, the first because: "
            f"{rejected['reason'][0]}. Check the paths in it and the images beside it."
        )
    if "split" not in images.columns:
        images = images.with_columns(_split(images, rules))
    _check(images, len(rejected), where)
    n_seen = _n_test_seen(images)
    if n_seen:
        logger.warning("%s: %d test images look like a train image of its split", name, n_seen)
    return BenchmarkTask(
        images.select("task", "image_id", "path", "sha256", "label", "split", "look_component"),
        rejected.select("task", "image_id", "path", "label", "reason"),
        n_seen,
    )


def split_by_look(
    labels: Sequence[str], components: Sequence[str], test_share: float, seed: int
) -> list[str]:
    """`train` or `test` for every image, the same for all of a look component.

    A component is in test where the hash of (seed, its name) falls below `test_share`: a new image
    moves no other, unless it merges components. Then, classes in the order of their names: of a
    class of several components with none in test, the one with the lowest hash goes to test; of a
    class without a train image the one with the highest goes to train. So every class is trained
    on, and a class whose images all look alike is not scored.
    """
    place = {component: _place(component, seed) for component in set(components)}
    test = {component for component, share in place.items() if share < test_share}
    members: dict[str, set[str]] = {}
    for label, component in zip(labels, components, strict=True):
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


def _place(component: str, seed: int) -> float:
    """Where a component stands in 0..1: the first 64 bits of SHA-256 of `seed:component`."""
    digest = hashlib.sha256(f"{seed}:{component}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _checked(rows: pl.DataFrame, rules: TaskRules, progress: Progress) -> pl.DataFrame:
    """Rows with `sha256` and `look_component`, or with a `reason`."""
    paths = [Path(path) for path in rows["path"]]
    found = inspect_covers(paths, rules.covers.max_pixels, rules.n_threads, progress)
    signatures = [inspection.signature for inspection in found]
    _, components = assign_looks(rows["image_id"].to_list(), signatures, rules.covers)

    def sha256(row: int) -> str | None:
        if found[row].status != "ok":
            return None
        with paths[row].open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return rows.with_columns(
        pl.Series("reason", [_reason(inspection) for inspection in found], dtype=pl.String),
        pl.Series("sha256", map_covers(sha256, len(paths), rules.n_threads), dtype=pl.String),
        pl.Series("look_component", components, dtype=pl.String),
    )


def _reason(found: CoverInspection) -> str | None:
    return None if found.status == "ok" else f"{found.status}: {found.reason}"


def _split(images: pl.DataFrame, rules: TaskRules) -> pl.Series:
    labels, components = images["label"].to_list(), images["look_component"].to_list()
    split = split_by_look(labels, components, rules.test_share, rules.seed)
    return pl.Series("split", split, dtype=pl.String)


def _check(images: pl.DataFrame, n_rejected: int, where: str) -> None:
    """A probe needs classes to tell apart, all of them in train, and something to score."""
    train = set(images.filter(pl.col("split") == "train")["label"])
    test = set(images.filter(pl.col("split") == "test")["label"])
    turned_away = f"{n_rejected} rows were turned away"
    if len(train | test) < 2:
        raise DataError(
            f"{where}: expected two classes or more, all images are labelled "
            f"{min(train | test)!r} ({turned_away}). Add images of another class."
        )
    if test - train:
        raise DataError(
            f"{where}: expected a train image of every class, {len(test - train)} have none, "
            f"the first is {min(test - train)!r} ({turned_away}). Move images to train, or leave "
            "out the column split."
        )
    if not test:
        raise DataError(
            f"{where}: expected test images, all {len(images)} are in train ({turned_away}). Add "
            "images, or raise benchmark.task_test_share."
        )


def _n_test_seen(images: pl.DataFrame) -> int:
    train = images.filter(pl.col("split") == "train")["look_component"].unique()
    in_train = pl.col("look_component").is_in(train.implode())
    return images.filter((pl.col("split") == "test") & in_train).height
