"""Reading results out of a home: embeddings as Parquet, scores as tables."""

from pathlib import Path

import polars as pl

from cf_pipeline.defs.resources import open_warehouse
from cf_pipeline.errors import DataError
from cf_pipeline.recipes.configuration import Choices, resolve
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse


def export_embeddings(home: Home, file: Path) -> tuple[int, str]:
    """Write `project_id, split, model_version, features, predicted_factors` of the current model.

    Returns:
        Number of rows and the model version.

    Raises:
        DataError: there are no embeddings yet, or the file cannot be written.
    """
    warehouse, model = _current(home)
    table = (
        warehouse
        .frame("embeddings", where="model_version = ?", parameters=[model])
        .join(warehouse.frame("project_split"), on="project_id", how="left")
        .select("project_id", "split", "model_version", "features", "predicted_factors")
    )
    if table.is_empty():
        raise DataError(f"no embeddings of model {model} in {home.path}. Run cf-pipeline run.")
    try:
        table.write_parquet(file)
    except OSError as error:
        raise DataError(f"{file} cannot be written: {error}. Choose another place.") from error
    return table.height, model


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
    if warehouse.has("benchmark_scores"):
        tasks = task_table(rows_of("benchmark_scores"), "mean_class_accuracy")
        boards.append(("Linear probe", *tasks))
    return boards


def _current(home: Home) -> tuple[Warehouse, str]:
    warehouse = open_warehouse(home, resolve(Choices.read(home.config_path)))
    record = warehouse.record("trained_cnn")
    if record is None:
        raise DataError(f"no trained model in {home.path}. Run cf-pipeline run first.")
    return warehouse, record.data_version
