"""WikiPaintings as ArtGAN's refined WikiArt has it: 81,446 paintings in 27 styles, split by makers.

Not the 25 styles of Karayev and others: seven are others, and scores do not compare. Rows are
`Folder/file.jpg,number` with Windows' line ends; many names hold accents that were encoded twice.
The folder is the label: `style_class.txt` writes one of them in another way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from cf_pipeline.benchmark.task_loaders.listing import FilesByName, in_two, listed
from cf_pipeline.benchmark.task_loaders.loader import TaskLoader, check_folder, expanded
from cf_pipeline.errors import DataError

_LISTS = {"train": "style_train.csv", "test": "style_val.csv"}
_PLACES = ("", "Style")


class WikiPaintingsArtgan(TaskLoader):
    """`style_train.csv` and `style_val.csv`, the latter as test."""

    name: Literal["wikipaintings_artgan"] = "wikipaintings_artgan"
    folder: str = Field(description="Holds style_train.csv and style_val.csv, or Style with them.")
    images: str = Field(
        "", description="Folder with a folder per style, below it or absolute; wikiart in the zip."
    )

    def folder_read(self) -> Path:
        """See TaskLoader."""
        return expanded(self.folder)

    def lists(self) -> list[Path]:
        """Both lists."""
        root = self.folder_read()
        place = next(
            (root / name for name in _PLACES if (root / name / _LISTS["train"]).is_file()), root
        )
        return [place / name for name in _LISTS.values()]

    def read(self) -> pl.DataFrame:
        """See TaskLoader."""
        root = self.folder_read()
        check_folder(root, "with ArtGAN's style_train.csv in it")
        files = FilesByName(expanded(str(root / self.images)))
        rows: list[tuple[str, str, list[str], str | None]] = []
        numbers: dict[str, str] = {}
        for side, file in zip(_LISTS, self.lists(), strict=True):
            for path, number in in_two(file, "Folder/file,number as ArtGAN writes it", ","):
                style = path.partition("/")[0]
                if numbers.setdefault(style, number) != number:
                    raise DataError(
                        f"{file}: expected one number a style, {style} is {numbers[style]} and "
                        f"{number}. Artist and Genre lists are other tasks; take Style's."
                    )
                rows.append((path, str(files.find(path)), [style], side))
        return listed(rows)

    def variant(self) -> str:
        """See TaskLoader."""
        return "ArtGAN's list, not Karayev's 25 styles"
