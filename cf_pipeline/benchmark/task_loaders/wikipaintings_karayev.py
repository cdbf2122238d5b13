"""WikiPaintings by the rule of Karayev and others (BMVC 2014), from a table of paintings.

Paintings with a style and a genre, styles of a thousand paintings or more: 25 of them in the
makers' table of 2013. A fifth is test, which first takes equally many of every style, a fifth of
the smallest, and then any. Which paintings those are their code draws; here hashes of ids do, so
members differ from theirs and the rule does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from cf_pipeline.benchmark.task_loaders.listing import FilesByName, listed
from cf_pipeline.benchmark.task_loaders.loader import TaskLoader, check_folder, expanded
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.keyed import id_keys

FEWEST = 1000
TEST_SHARE = 0.2
SEED = 42


class WikiPaintingsKarayev(TaskLoader):
    """A CSV table with the columns `image_id`, `style` and `genre`, whatever they are called."""

    name: Literal["wikipaintings_karayev"] = "wikipaintings_karayev"
    folder: str = Field(description="Holds the table and the pictures.")
    file: str = Field("wikipaintings.csv", description="The table below it.")
    images: str = Field("images", description="Folder with the pictures, below it or absolute.")
    id_column: str = Field("image_id", description="Names the painting.")
    style_column: str = Field("style", description="Its style.")
    genre_column: str = Field("genre", description="Its genre.")
    suffix: str = Field(".jpg", description="Of a picture, after the id; empty where ids hold it.")
    fewest: int = Field(FEWEST, ge=2, description="Fewest paintings of a style.")

    def folder_read(self) -> Path:
        """See TaskLoader."""
        return expanded(self.folder)

    def lists(self) -> list[Path]:
        """The table."""
        return [self.folder_read() / self.file]

    def read(self) -> pl.DataFrame:
        """See TaskLoader."""
        root = self.folder_read()
        check_folder(root, f"with {self.file} in it")
        files = FilesByName(expanded(str(root / self.images)))
        table = self._table(root / self.file)
        of_style = pl.len().over("style")
        counted = table.filter(of_style >= self.fewest)
        if counted.is_empty():
            raise DataError(
                f"{root / self.file}: expected styles of {self.fewest} paintings or more that have "
                f"a genre, there is none among {table.height}. Lower fewest, or use another loader."
            )
        sides = split_by_rule(counted["id"].to_list(), counted["style"].to_list())
        return listed([
            (image, str(files.find(image + self.suffix)), [style], side)
            for image, style, side in zip(counted["id"], counted["style"], sides, strict=True)
        ])

    def variant(self) -> str:
        """See TaskLoader."""
        return f"Karayev's rule, styles of {self.fewest:,} or more with a genre"

    def _table(self, file: Path) -> pl.DataFrame:
        """`id, style` of paintings with both, each once."""
        wanted = {self.id_column: "id", self.style_column: "style", self.genre_column: "genre"}
        try:
            table = pl.read_csv(file, infer_schema=False).select(
                pl.col(column).str.strip_chars().alias(name) for column, name in wanted.items()
            )
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(
                f"{file}: expected a CSV table with the columns {', '.join(wanted)}, reading it "
                f"failed: {error}. Say id_column, style_column and genre_column."
            ) from error
        has_all = pl.all_horizontal(pl.col(name).fill_null("") != "" for name in wanted.values())
        return table.filter(has_all).unique("id", keep="first", maintain_order=True)


def split_by_rule(ids: list[str], styles: list[str]) -> list[str]:
    """`train` or `test` of every painting: equally many of each style, and then any."""
    order = np.argsort(id_keys(ids, SEED), kind="stable")
    n_test = round(TEST_SHARE * len(ids))
    names, counts = np.unique(styles, return_counts=True)
    left = dict.fromkeys(names.tolist(), int(TEST_SHARE * counts.min()))
    first, others = [], []
    for row in order.tolist():
        if left[styles[row]] > 0:
            left[styles[row]] -= 1
            first.append(row)
        else:
            others.append(row)
    test = {*first, *others[: max(0, n_test - len(first))]}
    return ["test" if row in test else "train" for row in range(len(ids))]
