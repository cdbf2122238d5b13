"""Flickr Style (Karayev and others, BMVC 2014): photographs in 20 visual styles.

What people have is Caffe's `flickr_style.csv.gz` of 80,000 rows, or the `path label` lists that
its script wrote beside the pictures that were still there. Flickr answers for a dead picture with
a placeholder, which is left out by its hash.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from cf_pipeline.benchmark.task_loaders.listing import in_two, lines_of, listed
from cf_pipeline.benchmark.task_loaders.loader import TaskLoader, check_folder, expanded
from cf_pipeline.errors import DataError

PLACEHOLDER = "6a92790b1c2a301c6e7ddef645dca1f53ea97ac2"
"""SHA-1 of what Flickr sends in the place of a picture that is gone."""
_TABLES = ("flickr_style.csv.gz", "flickr_style.csv")
_LISTS = {"train": "train.txt", "test": "test.txt"}
_NAMES = "style_names.txt"
STYLES = (
    "Detailed", "Pastel", "Melancholy", "Noir", "HDR", "Vintage", "Long Exposure", "Horror",
    "Sunny", "Bright", "Hazy", "Bokeh", "Serene", "Texture", "Ethereal", "Macro",
    "Depth of Field", "Geometric Composition", "Minimal", "Romantic",
)  # fmt: skip
"""By number, for where `style_names.txt` is not."""


class FlickrStyle(TaskLoader):
    """Caffe's table or its lists; pictures are found by the name of their file alone."""

    name: Literal["flickr_style"] = "flickr_style"
    folder: str = Field(description="Holds flickr_style.csv.gz, or train.txt and test.txt.")
    images: str = Field("images", description="Folder with the pictures, below it or absolute.")

    def folder_read(self) -> Path:
        """See TaskLoader."""
        return expanded(self.folder)

    def lists(self) -> list[Path]:
        """The table, or else the two lists, and the names of styles where they are."""
        folder = self.folder_read()
        tables = [folder / name for name in _TABLES if (folder / name).is_file()]
        names = [folder / _NAMES] if (folder / _NAMES).is_file() else []
        return [*(tables[:1] or [folder / name for name in _LISTS.values()]), *names]

    def read(self) -> pl.DataFrame:
        """See TaskLoader; ids are names of files, whichever list they come from."""
        folder = self.folder_read()
        check_folder(folder, "with Flickr Style's lists in it")
        first, styles = self.lists()[0], _styles(folder / _NAMES)
        rows = _of_table(first) if first.name in _TABLES else _of_lists(folder)
        images = expanded(str(folder / self.images))
        return listed([
            (name, str(images / name), [_style(label, styles, first)], split)
            for name, label, split in rows
        ])

    def placeholders(self) -> frozenset[str]:
        """See TaskLoader."""
        return frozenset({PLACEHOLDER})


def _of_table(file: Path) -> list[tuple[str, str, str]]:
    """Name of the file, number of the style and split of every row."""
    try:
        table = pl.read_csv(file, infer_schema=False)
        rows = table.select(
            pl.col("image_url").str.split("/").list.last(), "label", "_split"
        ).drop_nulls()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{file}: expected Caffe's table with the columns image_url, label and _split, reading "
            f"it failed: {error}. Download it again."
        ) from error
    unknown = set(rows["_split"]) - set(_LISTS)
    if unknown or rows.height < table.height or rows.is_empty():
        raise DataError(
            f"{file}: expected image_url, label and _split (train or test) in every row; "
            f"{table.height - rows.height} of {table.height} lack one, other splits: "
            f"{sorted(unknown) or 'none'}. Download it again."
        )
    return rows.rows()


def _of_lists(folder: Path) -> list[tuple[str, str, str]]:
    return [
        (Path(path).name, label, split)
        for split, name in _LISTS.items()
        for path, label in in_two(
            folder / name, "a path and the number of a style, as Caffe's script writes them", None
        )
    ]


def _styles(file: Path) -> tuple[str, ...]:
    return tuple(lines_of(file, "a style a line")) if file.is_file() else STYLES


def _style(label: str, styles: tuple[str, ...], file: Path) -> str:
    if not (label.isdecimal() and int(label) < len(styles)):
        raise DataError(
            f"{file}: expected the number of a style, 0 to {len(styles) - 1}, came {label!r}. "
            "Download it again."
        )
    return styles[int(label)]
