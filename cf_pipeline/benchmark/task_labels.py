"""labels.csv of a benchmark task: which image has which label.

Everything is read as text. A file that is no such table is an error; a row that cannot be used
stays, with its reason.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from cf_pipeline.errors import ConfigError, DataError

LABELS_FILE = "labels.csv"
_SPLITS = ("train", "test")


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
