"""AVA Style (Murray and others, CVPR 2012): photographs in 14 photographic styles.

A train image has one style, a test image any number: 236 of 2,809 have none. They are negatives of
every style, and whoever left them out has other scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from cf_pipeline.benchmark.task_loaders.listing import in_two, lines_of, listed
from cf_pipeline.benchmark.task_loaders.loader import TaskLoader, check_folder, expanded
from cf_pipeline.errors import DataError

_LISTS = ("styles.txt", "train.jpgl", "train.lab", "test.jpgl", "test.multilab")
_PLACES = ("", "style_image_lists")


class AvaStyle(TaskLoader):
    """`train.jpgl` with `train.lab`, `test.jpgl` with `test.multilab`."""

    name: Literal["ava_style"] = "ava_style"
    folder: str = Field(description="Holds AVA's lists of styles, or style_image_lists with them.")
    images: str = Field("images", description="Folder with <id>.jpg, below it or absolute.")
    unlabelled: bool = Field(True, description="Whether test images without a style are scored.")

    def folder_read(self) -> Path:
        """See TaskLoader."""
        return expanded(self.folder)

    def lists(self) -> list[Path]:
        """All five."""
        root = self.folder_read()
        place = next((root / p for p in _PLACES if (root / p / _LISTS[1]).is_file()), root)
        return [place / name for name in _LISTS]

    def read(self) -> pl.DataFrame:
        """See TaskLoader."""
        root = self.folder_read()
        check_folder(root, "with AVA's train.jpgl in it")
        styles, *lists = self.lists()
        names = dict(in_two(styles, "the number and name of a style", None))
        train, test = _train(lists[0], lists[1], names), _test(lists[2], lists[3], names)
        images = expanded(str(root / self.images))
        return listed([
            (image, str(images / f"{image}.jpg"), labels, side)
            for side, rows in (("train", train), ("test", test))
            for image, labels in rows
            if labels or self.unlabelled
        ])

    def variant(self) -> str:
        """See TaskLoader."""
        return f"test images without a style {'count' if self.unlabelled else 'left out'}"


def _train(ids: Path, labels: Path, names: dict[str, str]) -> list[tuple[str, list[str]]]:
    rows = []
    for number, (image, label) in enumerate(_beside(ids, labels), start=1):
        if label not in names:
            raise DataError(
                f"{labels}, line {number}: expected the number of a style in styles.txt, came "
                f"{label!r}. Download AVA's lists again."
            )
        rows.append((image, [names[label]]))
    return rows


def _test(ids: Path, flags: Path, names: dict[str, str]) -> list[tuple[str, list[str]]]:
    rows = []
    for number, (image, line) in enumerate(_beside(ids, flags), start=1):
        columns = line.split()
        if len(columns) != len(names) or not set(columns) <= {"0", "1"}:
            raise DataError(
                f"{flags}, line {number}: expected 0 or 1 for each of {len(names)} styles, came "
                f"{line[:80]!r}. Download AVA's lists again."
            )
        has = [name for name, flag in zip(names.values(), columns, strict=True) if flag == "1"]
        rows.append((image, has))
    return rows


def _beside(ids: Path, labels: Path) -> list[tuple[str, str]]:
    first = lines_of(ids, "an image id a line")
    second = lines_of(labels, "the styles of an image a line")
    if len(first) != len(second):
        raise DataError(
            f"{labels}: expected a line for each of the {len(first)} ids in {ids.name}, there are "
            f"{len(second)}. Download AVA's lists again."
        )
    return [(image.strip(), label.strip()) for image, label in zip(first, second, strict=True)]
