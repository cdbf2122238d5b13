"""Caltech-256 and Caltech-101 as they unpack: a folder per object, N images of each drawn to train.

Left out are what is no object (`257.clutter`, `BACKGROUND_Google`), `Faces_easy`, which holds the
pictures of `Faces` once more, and whatever else lies between the pictures: 256 has a folder
`056.dog/greg` and a file `198.spider/RENAME2`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from cf_pipeline.benchmark.task_loaders.listing import listed
from cf_pipeline.benchmark.task_loaders.loader import Draws, TaskLoader, check_folder, expanded
from cf_pipeline.errors import DataError

_PLACES = ("256_ObjectCategories", "101_ObjectCategories", "")
_PICTURE = re.compile(r"(\d{3}_\d{4}|image_\d{4})\.(jpe?g|png|webp)", re.IGNORECASE)
_NUMBERED = re.compile(r"\d{3}\.(.+)")
NO_OBJECTS = frozenset({"257.clutter", "BACKGROUND_Google", "Faces_easy"})


class Caltech(TaskLoader):
    """Mean accuracy over classes at `train_per_class` images each, over several draws."""

    name: Literal["caltech"] = "caltech"
    folder: str = Field(description="Holds 256_ObjectCategories or 101_ObjectCategories, or is it.")
    train_per_class: int = Field(30, ge=1, description="Images of each class that are fitted on.")
    test_per_class: int | None = Field(
        None, ge=1, description="Images of each class that are scored; none: all others."
    )
    n_draws: int = Field(5, ge=1, description="How many times train and test are drawn.")
    told: tuple[str, ...] = Field(
        ("imagenet",), description="Feature sets whose makers were told labels much like these."
    )

    def folder_read(self) -> Path:
        """See TaskLoader."""
        root = expanded(self.folder)
        return next((root / name for name in _PLACES if (root / name).is_dir()), root)

    def read(self) -> pl.DataFrame:
        """See TaskLoader."""
        root = self.folder_read()
        check_folder(root, "with a folder per object")
        rows: list[tuple[str, str, list[str], str | None]] = [
            (f"{folder.name}/{file.name}", str(file), [_label(folder.name)], None)
            for folder in sorted(root.iterdir())
            if folder.is_dir() and folder.name not in NO_OBJECTS
            for file in sorted(folder.iterdir())
            if _PICTURE.fullmatch(file.name) and file.is_file()
        ]
        if not rows:
            raise DataError(
                f"{root}: expected pictures as 001.ak47/001_0001.jpg or accordion/image_0001.jpg, "
                "there is none. Unpack the archive there, or use the loader image_folder."
            )
        return listed(rows)

    def draws(self) -> Draws:
        """See TaskLoader."""
        return Draws(self.n_draws, self.train_per_class, self.test_per_class)

    def variant(self) -> str:
        """See TaskLoader."""
        tested = "all others" if self.test_per_class is None else f"{self.test_per_class}"
        return f"{self.train_per_class} a class in train, {tested} in test"


def _label(folder: str) -> str:
    numbered = _NUMBERED.fullmatch(folder)
    return numbered[1] if numbered else folder
