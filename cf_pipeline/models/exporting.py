"""Embeddings of one model out of a home, as files that other programs read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.models.catalogue import model_meant, warehouse_of
from cf_pipeline.models.spaces import exported_form, space_of
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.storage.whole import whole

FileFormat = Literal["parquet", "npy"]
_OF_PROJECT = ("title", "owners", "field", "subfield", "tags")
_OF_COVER = ("path", "look_group")
ROWS_SUFFIX = ".rows.csv"
"""Beside a matrix without ids: what its rows are."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        n_rows: how many covers.
        model: the model version.
        form: that validation chose; None: none was chosen yet.
        files: that were written.
    """

    n_rows: int
    model: str
    form: str | None
    files: tuple[Path, ...]


def export_embeddings(
    home: Home, file: Path, model: str | None = None, file_format: FileFormat | None = None
) -> Exported:
    """Write one model's vectors of every cover, with what is known of the cover.

    Parquet has `project_id, path, title, owners, field, subfield, tags, split, look_group,
    model_version, collaborative, features, predicted_factors`. `npy` has `collaborative` alone,
    float32 (n, d), and a CSV file beside it has the other columns but vectors, row by row.

    `collaborative` has the form that validation chose, of unit norm: its cosines are those that the
    scoreboard ranks by. A model that was not scored yet has its features layer there.

    Args:
        home: where.
        file: what is written.
        model: a model version or how it begins; None: the champion, which serves, or the newest
            model where none was promoted yet.
        file_format: None: as the suffix of the file says.

    Raises:
        ConfigError: neither the suffix nor the format says what to write, or they differ.
        DataError: no such model, no embeddings of it, or the file cannot be written.
    """
    chosen = format_of(file, file_format)
    warehouse = warehouse_of(home)
    version = model_meant(warehouse, home, model)
    table = _embeddings_by(warehouse, version, home)
    try:
        files = write_vectors(table, file, chosen)
    except OSError as error:
        raise DataError(f"{file} cannot be written: {error}. Choose another place.") from error
    return Exported(table.height, version, exported_form(warehouse, version), files)


def as_format(name: str | None) -> FileFormat | None:
    """A format by its name.

    Raises:
        ConfigError: there is no such format.
    """
    if name is None:
        return None
    for known in get_args(FileFormat):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"--format {name!r}: expected {' or '.join(get_args(FileFormat))}.")


def format_of(file: Path, file_format: FileFormat | None) -> FileFormat:
    """The format that a suffix and an option agree on.

    Raises:
        ConfigError: they do not, or there is no such format.
    """
    known = get_args(FileFormat)
    by_suffix = file.suffix.removeprefix(".").lower()
    if file_format is not None and not by_suffix:
        return file_format
    if by_suffix not in known:
        raise ConfigError(
            f"{file}: expected a name that ends with {' or '.join(f'.{name}' for name in known)}, "
            f"got {file.suffix or 'no suffix'}."
        )
    if file_format is not None and file_format != by_suffix:
        raise ConfigError(
            f"{file} ends with .{by_suffix}, and --format says {file_format}. Leave --format out, "
            "or name the file as it says."
        )
    return "npy" if by_suffix == "npy" else "parquet"


def write_vectors(table: pl.DataFrame, file: Path, file_format: FileFormat) -> tuple[Path, ...]:
    """Write rows with a column `collaborative`; the files that were written.

    Raises:
        OSError: the place cannot be written.
    """
    if file_format == "parquet":
        with whole(file) as beside:
            table.write_parquet(beside)
        return (file,)
    known = table.select(pl.exclude([c for c, t in table.schema.items() if t == pl.Array]))
    lists = [name for name, kind in known.schema.items() if kind == pl.List]
    rows = file.with_suffix(ROWS_SUFFIX)
    with whole(rows) as beside, whole(file) as matrix:
        known.with_columns(pl.col(name).list.join("; ") for name in lists).write_csv(beside)
        with matrix.open("wb") as opened:  # np.save would add a suffix to a name without
            np.save(opened, table[COLLABORATIVE].to_numpy())
    return file, rows


def _embeddings_by(warehouse: Warehouse, model: str, home: Home) -> pl.DataFrame:
    form = resolve(Choices.read(home.config_path)).benchmark.imagenet_form
    places = space_of(warehouse, COLLABORATIVE, model, form).places()
    rows = warehouse.frame("embeddings", where="model_version = ?", parameters=[model])
    projects, covers = warehouse.frame("raw_projects"), warehouse.frame("covers")
    rows = (
        rows
        .join(warehouse.frame("project_split"), on="project_id", how="left")
        .join(projects.select("project_id", *_OF_PROJECT), on="project_id", how="left")
        .join(covers.select("project_id", *_OF_COVER), on="project_id", how="left")
        .sort("project_id")
    )
    # A cover that is gone has no features of ImageNet's any more, which a form may stand beside.
    rows = rows.filter(pl.col("project_id").is_in(list(places.ids)))
    ours = places.rows(rows["project_id"].to_list())
    collaborative = pl.Series(ours, dtype=pl.Array(pl.Float32, ours.shape[1]))
    return rows.select(
        *("project_id", "path", *_OF_PROJECT, "split", "look_group", "model_version"),
        collaborative.alias(COLLABORATIVE),
        *("features", "predicted_factors"),
    )
