"""A folder with labels.csv: which image has which label.

Everything is read as text. A file that is no such table is an error; a row that cannot be used
stays, with its reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from cf_pipeline.benchmark.task_loaders.loader import REPOSITORY, TaskLoader
from cf_pipeline.errors import ConfigError, DataError

LABELS_FILE = "labels.csv"
_SPLITS = ("train", "test")


class LabelsCsv(TaskLoader):
    """`labels.csv` with the columns `path` and `label`, and `split` where its makers fixed one."""

    name: Literal["labels_csv"] = "labels_csv"
    folder: str = Field(
        description="Holds labels.csv; a relative one starts at the repository root."
    )

    def folder_read(self) -> Path:
        """See TaskLoader."""
        return REPOSITORY / Path(self.folder).expanduser()

    def files(self) -> list[Path]:
        """labels.csv and every image it names; of an unusable labels.csv itself only."""
        folder = self.folder_read()
        try:
            images = read_labels(folder)["image_id"].drop_nulls().unique(maintain_order=True)
        except (ConfigError, DataError):
            return [folder / LABELS_FILE]
        return [folder / LABELS_FILE, *(folder / image for image in images)]

    def read(self) -> pl.DataFrame:
        """See TaskLoader and read_labels."""
        folder, rows = self.folder_read(), read_labels(self.folder_read())
        paths = [None if image is None else str(folder / image) for image in rows["image_id"]]
        return rows.with_columns(path=pl.Series(paths, dtype=pl.String))


def read_labels(folder: Path) -> pl.DataFrame:
    """The rows of labels.csv.

    Args:
        folder: holds labels.csv with the columns `path`, `label` and perhaps `split`; others are
            left alone.

    Returns:
        `image_id` (the path as written), `label`, `reason` (null where the row can be used) and,
        if the file has it, `split`; all text, in the order of the file.

    Raises:
        ConfigError: there is no such folder.
        DataError: no labels.csv, not a table, a column or every row missing, an unknown split.
    """
    file = folder / LABELS_FILE
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: expected the folder of a benchmark task with {LABELS_FILE} in it, there is "
            "none. Correct benchmark.tasks."
        )
    if not file.is_file():
        raise DataError(
            f"{file}: expected a CSV file with the columns path and label, there is none. "
            "Write one, or correct benchmark.tasks."
        )
    table = _table(file)
    if "split" in table.columns:
        _check_split(table, file)
    return _with_reasons(table.rename({"path": "image_id"}))


def _table(file: Path) -> pl.DataFrame:
    try:
        table = pl.read_csv(file, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{file}: expected a CSV file in UTF-8 with the columns path and label, reading it "
            f"failed: {error}. Write it again as CSV."
        ) from error
    missing = [column for column in ("path", "label") if column not in table.columns]
    if missing:
        raise DataError(
            f"{file}: expected the columns path and label, {' and '.join(missing)} is missing, "
            f"came {', '.join(table.columns)}. Name the columns in the first line."
        )
    if table.is_empty():
        raise DataError(f"{file}: expected a row per image, there are none. Add them.")
    return table.select([c for c in ("path", "label", "split") if c in table.columns])


def _check_split(table: pl.DataFrame, file: Path) -> None:
    known = pl.col("split").is_in(_SPLITS).fill_null(value=False)
    unknown = table.filter(~known & pl.col("path").is_not_null())["split"]
    if len(unknown):
        raise DataError(
            f"{file}: expected train or test in the column split, {len(unknown)} rows differ, the "
            f"first has {unknown[0]!r}. Write validation images as train: the probe holds out its "
            "own part. Without the column, images are split by look."
        )


def _with_reasons(table: pl.DataFrame) -> pl.DataFrame:
    def blank(column: str) -> pl.Expr:
        return pl.col(column).fill_null("").str.strip_chars() == ""

    return table.with_columns(
        pl
        .when(blank("image_id"))
        .then(pl.lit("expected an image in the column path, it is empty"))
        .when(blank("label"))
        .then(pl.lit("expected a label, it is empty"))
        .when(pl.col("label").n_unique().over("image_id") > 1)
        .then(pl.lit("expected one label per image, this one is listed with several"))
        .when(~pl.col("image_id").is_first_distinct())
        .then(pl.lit("expected every image once, this one is listed before"))
        .alias("reason")
    )
