"""Reading results out of a home: embeddings as Parquet, scores as tables."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from cf_pipeline.benchmark.features import Form
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.errors import DataError
from cf_pipeline.models.catalogue import champion_of, warehouse_of, whole_version
from cf_pipeline.models.forms import exported_form, in_form
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse


def export_embeddings(
    home: Home, file: Path, model: str | None = None
) -> tuple[int, str, str | None]:
    """Write one model's vectors of every cover.

    Columns: `project_id, split, model_version, collaborative, features, predicted_factors`.
    `collaborative` has the form that validation chose, of unit norm: its cosines are those that the
    scoreboard ranks by. A model that was not scored yet has its features layer there.

    Args:
        home: where.
        file: what is written, Parquet.
        model: a model version or how it begins; None: the champion, which serves, or the newest
            model where none was promoted yet.

    Returns:
        Number of rows, the model version, and the name of the form; None: none was chosen yet.

    Raises:
        DataError: no such model, no embeddings of it, or the file cannot be written.
    """
    warehouse, newest = _current(home)
    model = _meant(warehouse, model) or champion_of(warehouse) or newest
    imagenet_form = resolve(Choices.read(home.config_path)).benchmark.imagenet_form
    table, form_name = _embeddings_by(warehouse, model, imagenet_form)
    if table.is_empty():
        raise DataError(
            f"no embeddings of model {model} in {home.path}. Run cf-pipeline run; a model that is "
            f"neither the newest nor champion nor best is embedded by cf-pipeline promote {model}."
        )
    try:
        table.write_parquet(file)
    except OSError as error:
        raise DataError(f"{file} cannot be written: {error}. Choose another place.") from error
    return table.height, model, form_name


def _embeddings_by(
    warehouse: Warehouse, model: str, imagenet_form: Form
) -> tuple[pl.DataFrame, str | None]:
    rows = (
        warehouse
        .frame("embeddings", where="model_version = ?", parameters=[model])
        .join(warehouse.frame("project_split"), on="project_id", how="left")
        .sort("project_id")
    )
    if rows.is_empty():
        return rows, None
    name = exported_form(warehouse, model)
    columns = ("project_id", "split", "model_version", "collaborative", "features")
    given = rows.with_columns(collaborative=in_form(warehouse, rows, name, imagenet_form))
    return given.select(*columns, "predicted_factors"), name


def _meant(warehouse: Warehouse, model: str | None) -> str | None:
    """The one version that begins so, where one was named."""
    if model is None:
        return None
    versions = warehouse.frame("trained_cnn", ("model_version",))["model_version"]
    return whole_version(model, versions.to_list())


def scoreboards(home: Home) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, column titles and rows of each table of scores that is there, current model's."""
    from cf_pipeline.benchmark.report import pool_sizes, scoreboard, task_table

    warehouse, model = _current(home)

    def rows_of(table: str) -> pl.DataFrame:
        return warehouse.frame(table, where="model_version = ?", parameters=[model])

    boards = []
    if warehouse.has("similarity_scores"):
        scores, differences = rows_of("similarity_scores"), rows_of("similarity_differences")
        for split in ("validation", "test"):
            title = f"Image similarity, {split} ({pool_sizes(scores, split)})"
            boards.append((title, *scoreboard(scores, differences, split, "imagenet")))
    probes = rows_of("benchmark_scores") if warehouse.has("benchmark_scores") else pl.DataFrame()
    if probes.height:  # a home may be without tasks
        boards.append(("Linear probe", *task_table(probes, "mean_class_accuracy")))
    return boards


def _current(home: Home) -> tuple[Warehouse, str]:
    warehouse = warehouse_of(home)
    record = warehouse.record("trained_cnn")
    if record is None:
        raise DataError(f"no trained model in {home.path}. Run cf-pipeline run first.")
    return warehouse, record.data_version
