"""Labelled sets of images: read, checked, split by look.

A task is a folder with `labels.csv` (columns `path` and `label`, and `split` where its makers
fixed one) and the images it names. Without a split, look components are hashed into train and
test, so that no test image looks like a train image. What cannot be used is returned with its
reason.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.task_labels import LABELS_FILE, read_labels
from cf_pipeline.errors import ConfigError, DataError
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
            the order of labels.csv; image_id is the path as written there, path where the file is.
        rejected: `task, image_id, path, label, reason`, the rows of labels.csv left out.
        n_test_seen: test images that look like a train image; above 0 only where labels.csv
            brings its own split.
    """

    images: pl.DataFrame
    rejected: pl.DataFrame
    n_test_seen: int


def task_files(folder: Path) -> list[Path]:
    """labels.csv and every image it names, there or not; of an unusable labels.csv itself only."""
    try:
        images = read_labels(folder)["image_id"].drop_nulls().unique(maintain_order=True)
    except (ConfigError, DataError):
        return [folder / LABELS_FILE]
    return [folder / LABELS_FILE, *(folder / image for image in images)]


def read_task(
    name: str,
    folder: Path,
    config: BenchmarkConfig,
    covers: CoversConfig,
    n_threads: int = 1,
    progress: Progress = silent,
) -> BenchmarkTask:
    """Read one labelled set.

    Args:
        name: of the task.
        folder: holds labels.csv; the paths in it start here.
        config: `task_test_share` and `seed` of the split.
        covers: how images are checked and when two look alike.
        n_threads: how many images are decoded at once.
        progress: called as images are checked.

    Raises:
        ConfigError: there is no such folder.
        DataError: labels.csv cannot be used (see `read_labels`); no image can; or there are not
            two classes, a test image, and a train image of every class.
    """
    rows = read_labels(folder)
    paths = [None if image is None else str(folder / image) for image in rows["image_id"]]
    rows = rows.select(
        pl.lit(name).alias("task"),
        "image_id",
        pl.Series("path", paths, dtype=pl.String),
        pl.exclude("image_id"),
    )
    checked = _checked(rows.filter(pl.col("reason").is_null()), covers, n_threads, progress)
    rejected = pl.concat([rows.drop_nulls("reason"), checked.drop_nulls("reason")], how="diagonal")
    images = checked.filter(pl.col("reason").is_null())
    if images.is_empty():
        raise DataError(
            f"{folder / LABELS_FILE}: none of its {len(rows)} rows can be used, the first because: "
            f"{rejected['reason'][0]}. Check the paths in the file and the images beside it."
        )
    if "split" not in images.columns:
        images = images.with_columns(_split(images, config))
    _check(images, len(rejected), folder)
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


def _checked(
    rows: pl.DataFrame, covers: CoversConfig, n_threads: int, progress: Progress
) -> pl.DataFrame:
    """Rows with `sha256` and `look_component`, or with a `reason`."""
    paths = [Path(path) for path in rows["path"]]
    found = inspect_covers(paths, covers.max_pixels, n_threads, progress)
    signatures = [inspection.signature for inspection in found]
    _, components = assign_looks(rows["image_id"].to_list(), signatures, covers)

    def sha256(row: int) -> str | None:
        if found[row].status != "ok":
            return None
        with paths[row].open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return rows.with_columns(
        pl.Series("reason", [_reason(inspection) for inspection in found], dtype=pl.String),
        pl.Series("sha256", map_covers(sha256, len(paths), n_threads), dtype=pl.String),
        pl.Series("look_component", components, dtype=pl.String),
    )


def _reason(found: CoverInspection) -> str | None:
    return None if found.status == "ok" else f"{found.status}: {found.reason}"


def _split(images: pl.DataFrame, config: BenchmarkConfig) -> pl.Series:
    labels, components = images["label"].to_list(), images["look_component"].to_list()
    split = split_by_look(labels, components, config.task_test_share, config.seed)
    return pl.Series("split", split, dtype=pl.String)


def _check(images: pl.DataFrame, n_rejected: int, folder: Path) -> None:
    """A probe needs classes to tell apart, all of them in train, and something to score."""
    train = set(images.filter(pl.col("split") == "train")["label"])
    test = set(images.filter(pl.col("split") == "test")["label"])
    file, turned_away = folder / LABELS_FILE, f"{n_rejected} rows were turned away"
    if len(train | test) < 2:
        raise DataError(
            f"{file}: expected two classes or more, all images are labelled "
            f"{min(train | test)!r} ({turned_away}). Add images of another class."
        )
    if test - train:
        raise DataError(
            f"{file}: expected a train image of every class, {len(test - train)} have none, "
            f"the first is {min(test - train)!r} ({turned_away}). Move images to train, or leave "
            "out the column split."
        )
    if not test:
        raise DataError(
            f"{file}: expected test images, all {len(images)} are in train ({turned_away}). Add "
            "images, or raise benchmark.task_test_share."
        )


def _n_test_seen(images: pl.DataFrame) -> int:
    train = images.filter(pl.col("split") == "train")["look_component"].unique()
    in_train = pl.col("look_component").is_in(train.implode())
    return images.filter((pl.col("split") == "test") & in_train).height
