"""A folder per class, perhaps below `train` and `test`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from cf_pipeline.benchmark.task_loaders.listing import IMAGE_SUFFIXES, listed
from cf_pipeline.benchmark.task_loaders.loader import TaskLoader, check_folder, expanded
from cf_pipeline.errors import DataError

_SIDES = {"train": "train", "test": "test", "val": "test", "valid": "test", "validation": "test"}


class ImageFolder(TaskLoader):
    """`class/picture.jpg`, or `train/class/picture.jpg` beside `test` (or `val`).

    With a test folder a validation folder belongs to train, as the probe holds out its own part.
    """

    name: Literal["image_folder"] = "image_folder"
    folder: str = Field(
        description="Holds a folder per class; a relative one starts at the repository root."
    )

    def folder_read(self) -> Path:
        """See TaskLoader."""
        return expanded(self.folder)

    def read(self) -> pl.DataFrame:
        """See TaskLoader; the name of a folder is the label of all that lies below it."""
        root = self.folder_read()
        check_folder(root, "with a folder per class")
        folders = [entry for entry in sorted(root.iterdir()) if entry.is_dir()]
        sides = _sides([folder.name for folder in folders])
        rows = []
        for folder in folders:
            side = sides.get(folder.name)
            classes = [folder] if side is None else [f for f in folder.iterdir() if f.is_dir()]
            rows += [
                (file.relative_to(root).as_posix(), str(file), [one.name], side)
                for one in classes
                for file in sorted(one.rglob("*"))
                if file.suffix.lower() in IMAGE_SUFFIXES
            ]
        if not rows:
            raise DataError(
                f"{root}: expected a folder per class with pictures in it, there are "
                f"{len(folders)} folders and no picture. Correct benchmark.tasks."
            )
        return listed(sorted(rows))


def _sides(folders: list[str]) -> dict[str, str]:
    """Folder to the side it is, where the folders are train and others of a split."""
    if not (set(folders) <= set(_SIDES) and "train" in folders and len(folders) > 1):
        return {}
    has_test = "test" in folders
    return {name: "train" if has_test and name != "test" else _SIDES[name] for name in folders}
