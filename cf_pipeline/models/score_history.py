"""Scores of all models of a home, in the order of their training."""

from __future__ import annotations

import polars as pl

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, IMAGENET, METACLASS, PREDICTED_FACTORS
from cf_pipeline.benchmark.primary import is_primary
from cf_pipeline.benchmark.report import HEADLINE, value_cell
from cf_pipeline.errors import DataError
from cf_pipeline.models.catalogue import warehouse_of
from cf_pipeline.models.scoreboards import TextBoard
from cf_pipeline.storage.home import Home

_SHOWN = (COLLABORATIVE, PREDICTED_FACTORS, IMAGENET, METACLASS)
_COLUMNS = ("trained_at", "model_version", "measure", "feature_set", "value", "low", "high")


def score_history(home: Home) -> pl.DataFrame:
    """The measures that are read first, of every model, as each was judged when it was the newest.

    Returns:
        `trained_at, model_version, measure, feature_set, value, low, high`, oldest first; the
        measure of a labelled task begins with its name.

    Raises:
        DataError: nothing was trained or scored yet.
    """
    warehouse = warehouse_of(home)
    parts = []
    if warehouse.has("similarity_scores"):
        similar = warehouse.frame("similarity_scores").filter(
            pl.col("measure").is_in(HEADLINE), split="test"
        )
        parts.append(similar)
    if warehouse.has("benchmark_scores"):
        probes = warehouse.frame("benchmark_scores").filter(is_primary("model_version"))
        parts.append(probes.with_columns(measure=pl.format("{}, {}", "task", "metric")))
    if not parts:
        raise DataError(f"no score in {home.path} yet. Run cf-pipeline run first.")
    trained = warehouse.frame("trained_cnn", ("model_version", "trained_at"))
    rows = pl.concat(part.select(*_COLUMNS[1:]) for part in parts)
    return rows.join(trained, on="model_version").select(_COLUMNS).sort("trained_at", "measure")


def history_boards(rows: pl.DataFrame) -> list[TextBoard]:
    """A board a measure, a row a model.

    Args:
        rows: of score_history.
    """
    boards = []
    for here in rows.partition_by("measure", maintain_order=True):
        names = [name for name in _SHOWN if name in here["feature_set"]]
        told = [
            [
                f"{of_model['trained_at'][0]:%Y-%m-%d %H:%M}",
                str(of_model["model_version"][0]),
                *(value_cell(of_model.filter(feature_set=name)) for name in names),
            ]
            for of_model in here.partition_by("model_version", maintain_order=True)
        ]
        titles = ["trained (UTC)", "model", *names]
        boards.append(TextBoard(str(here["measure"][0]), titles, told))
    return boards
