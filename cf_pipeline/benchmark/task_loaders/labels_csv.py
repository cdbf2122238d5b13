"""A folder with a table: which image has which label, or which labels.

Everything is read as text. A file that is no such table is an error; a row that cannot be used
stays, with its reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from cf_pipeline.benchmark.task_loaders.loader import TaskLoader, check_folder, expanded
from cf_pipeline.errors import DataError

_SPLITS = ("train", "test")


class LabelsCsv(TaskLoader):
    """A table with a path and a label a row, and `split` where its makers fixed one."""

    name: Literal["labels_csv"] = "labels_csv"
    folder: str = Field(
        description="Holds the table; a relative one starts at the repository root."
    )
    file: str = Field("labels.csv", description="The table below it: CSV, or Parquet.")
    images: str = Field("", description="Folder below it that paths begin in.")
    path_column: str = Field("path", description="Column with the path of the image.")
    label_column: str = Field("label", description="Column with the label.")
    separator: str | None = Field(
        None,
        min_length=1,
        description="Stands between the labels of an image, as `|`; none: each has one label.",
    )

    def folder_read(self) -> Path:
        """See TaskLoader."""
        return expanded(self.folder)

    def lists(self) -> list[Path]:
        """The table."""
        return [self.folder_read() / self.file]

    def read(self) -> pl.DataFrame:
        """See TaskLoader.

        Raises:
            ConfigError: there is no such folder.
            DataError: no such file, not a table, a column or every row missing, an unknown split.
        """
        folder = self.folder_read()
        check_folder(folder, f"with {self.file} in it")
        table = self._table(folder / self.file)
        if "split" in table.columns:
            _check_split(table, folder / self.file)
        images = [
            None if image is None else str(folder / self.images / image)
            for image in table["image_id"]
        ]
        return self._labelled(table).with_columns(path=pl.Series(images, dtype=pl.String))

    def _table(self, file: Path) -> pl.DataFrame:
        """`image_id, label` and, if the file has it, `split`, all text."""
        expected = f"with the columns {self.path_column} and {self.label_column}"
        if not file.is_file():
            raise DataError(
                f"{file}: expected a CSV file {expected}, there is none. Write one, or correct "
                "benchmark.tasks."
            )
        is_parquet = file.suffix == ".parquet"
        try:
            table = pl.read_parquet(file) if is_parquet else pl.read_csv(file, infer_schema=False)
        except (pl.exceptions.PolarsError, OSError) as error:
            # What follows the first paragraph is advice to callers of Polars.
            reason = " ".join(str(error).split("\n\n")[0].split())
            raise DataError(
                f"{file}: expected a {'Parquet file' if is_parquet else 'CSV file in UTF-8'} "
                f"{expected}, reading it failed: {reason}. Write it again."
            ) from error
        names = {self.path_column: "image_id", self.label_column: "label"}
        missing = [column for column in names if column not in table.columns]
        if missing:
            raise DataError(
                f"{file}: expected the columns {self.path_column} and {self.label_column}, "
                f"{' and '.join(missing)} is missing, came {', '.join(table.columns)}. Name the "
                "columns in the first line, or say path_column and label_column."
            )
        if table.is_empty():
            raise DataError(f"{file}: expected a row per image, there are none. Add them.")
        split = ["split"] if "split" in table.columns and "split" not in names else []
        return table.select(
            *(pl.col(column).cast(pl.String).alias(name) for column, name in names.items()),
            *(pl.col(column).cast(pl.String) for column in split),
        )

    def _labelled(self, table: pl.DataFrame) -> pl.DataFrame:
        """With `labels` and `reason`; an image of a set with a separator may have no label."""
        faults = [
            (_blank("image_id"), f"expected an image in the column {self.path_column}, it is empty")
        ]
        if self.separator is None:
            labels = pl.concat_list("label")
            several = pl.col("label").n_unique().over("image_id") > 1
            faults += [
                (_blank("label"), "expected a label, it is empty"),
                (several, "expected one label per image, this one is listed with several"),
            ]
        else:
            parts = pl.col("label").fill_null("").str.split(self.separator)
            trimmed = parts.list.eval(pl.element().str.strip_chars())
            labels = trimmed.list.eval(pl.element().filter(pl.element() != ""))
            labels = labels.list.unique(maintain_order=True)
        again = ~pl.col("image_id").is_first_distinct()
        faults.append((again, "expected every image once, this one is listed before"))
        reason = pl.coalesce(pl.when(fault).then(pl.lit(said)) for fault, said in faults)
        return table.with_columns(labels=labels, reason=reason).drop("label")


def _blank(column: str) -> pl.Expr:
    return pl.col(column).fill_null("").str.strip_chars() == ""


def _check_split(table: pl.DataFrame, file: Path) -> None:
    known = pl.col("split").is_in(_SPLITS).fill_null(value=False)
    unknown = table.filter(~known & pl.col("image_id").is_not_null())["split"]
    if len(unknown):
        raise DataError(
            f"{file}: expected train or test in the column split, {len(unknown)} rows differ, the "
            f"first has {unknown[0]!r}. Write validation images as train: the probe holds out its "
            "own part. Without the column, images are split by look."
        )
