"""Every score of a model as one long table, and as boards that fit a terminal, one a measure."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from cf_pipeline.benchmark.feature_sets import IMAGENET, ordered
from cf_pipeline.benchmark.report import HEADLINE, difference_cell, value_cell
from cf_pipeline.models.catalogue import current_model, model_meant, warehouse_of
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse

SCORES_SCHEMA = {
    "benchmark": pl.String,
    "split": pl.String,
    "measure": pl.String,
    "name": pl.String,
    "chosen": pl.Boolean,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "reference": pl.String,
    "difference": pl.Float64,
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
    "n": pl.Int64,
    "n_groups": pl.Int64,
}
_TITLES = {
    "factors": "Factors rank hidden events",
    "similarity": "Image similarity",
    "probe": "Linear probe",
    "cold_start": "New projects for users",
}
"""Benchmark to its title, in the order in which they are told."""
_COUNTED = {"factors": "users", "similarity": "queries", "probe": "images", "cold_start": "users"}


@dataclass(frozen=True)
class Board:
    """One measure as text.

    Attributes:
        title: benchmark, measure, split and how many were asked.
        titles: of the columns.
        rows: of cells; the chosen layer's name ends with ` *`.
    """

    title: str
    titles: list[str]
    rows: list[list[str]]


def scores_of(home: Home, model: str | None = None) -> pl.DataFrame:
    """Every score that the home holds of a model: how factors rank first, then its features.

    Args:
        home: where.
        model: a model version or how it begins; None: the one that was scored last.

    Returns:
        Rows of SCORES_SCHEMA; differences are to ImageNet's features, and only similarity has some.
        `n` counts what `value` is a mean over.

    Raises:
        DataError: nothing was trained yet, or there is no such model.
    """
    warehouse = warehouse_of(home)
    version = model_meant(warehouse, home, model) if model else current_model(warehouse, home)
    parts = [
        _factors(warehouse),
        _similarity(warehouse, version),
        _probe(warehouse, version),
        _cold_start(warehouse, version),
    ]
    return pl.concat(
        [part for part in parts if part is not None] or [pl.DataFrame(schema=SCORES_SCHEMA)]
    )


def boards(scores: pl.DataFrame) -> list[Board]:
    """A board for every benchmark, split and measure that has a value.

    Args:
        scores: rows of SCORES_SCHEMA.
    """
    found = []
    for here in scores.partition_by("benchmark", "split", "measure", maintain_order=True):
        if here["value"].is_not_null().any():
            found.append(_board(here))
    return found


def _board(here: pl.DataFrame) -> Board:
    benchmark, measure = str(here["benchmark"][0]), str(here["measure"][0])
    split: str | None = here["split"][0]
    n, groups = (max(here[count].drop_nulls(), default=None) for count in ("n", "n_groups"))
    asked = f"{n} {_COUNTED[benchmark]}" + (f" of {groups} groups" if groups is not None else "")
    of_split = f", {split}" if split is not None else ""
    titles = ["feature set" if benchmark != "factors" else "model", measure]
    reference = here["reference"].drop_nulls()
    if len(reference):
        titles.append(f"minus {reference[0]}")
    rows = []
    for row in here.iter_slices(1):
        name = row["name"].item() + (" *" if row["chosen"].item() else "")
        cells = [name, value_cell(row)]
        if len(reference):
            apart = row.select("difference", low="difference_low", high="difference_high")
            cells.append(difference_cell(apart))
        rows.append(cells)
    return Board(f"{_TITLES[benchmark]}{of_split} ({asked})", titles, rows)


def _factors(warehouse: Warehouse) -> pl.DataFrame | None:
    if not warehouse.has("factor_scores"):
        return None
    rows = warehouse.frame("factor_scores")
    return _filled(
        rows.sort(pl.col("metric") != "recall_at_20", "model", maintain_order=True),
        "factors", measure="metric", name="model", n="n_users",
    )  # fmt: skip


def _similarity(warehouse: Warehouse, model: str) -> pl.DataFrame | None:
    if not warehouse.has("similarity_scores"):
        return None
    of_model = {"where": "model_version = ?", "parameters": [model]}
    rows = warehouse.frame("similarity_scores", **of_model)  # type: ignore[arg-type]
    apart = warehouse.frame("similarity_differences", **of_model)  # type: ignore[arg-type]
    apart = apart.filter(reference=IMAGENET).select(
        *("split", "feature_set", "measure", "reference", "difference"),
        difference_low="low",
        difference_high="high",
    )
    joined = rows.join(apart, on=("split", "feature_set", "measure"), how="left")
    return _filled(_in_order(joined), "similarity", name="feature_set", n="n_queries")


def _probe(warehouse: Warehouse, model: str) -> pl.DataFrame | None:
    if not warehouse.has("benchmark_scores"):
        return None
    rows = warehouse.frame("benchmark_scores", where="model_version = ?", parameters=[model])
    named = rows.with_columns(measure=pl.format("{}, {}", "task", "metric"))
    return _filled(_in_order(named), "probe", name="feature_set", n="n_test")


def _cold_start(warehouse: Warehouse, model: str) -> pl.DataFrame | None:
    if not warehouse.has("cold_start_scores"):
        return None
    rows = warehouse.frame("cold_start_scores", where="model_version = ?", parameters=[model])
    named = rows.with_columns(measure="metric")
    return _filled(_in_order(named), "cold_start", name="feature_set", n="n_users")


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Validation before test, headline measures first, feature sets as the scoreboard has them."""
    measures = rows["measure"].unique().to_list()
    first = [m for m in HEADLINE if m in measures]
    measures = first + sorted(set(measures) - set(first))
    names = ordered(rows["feature_set"].unique().to_list())
    keys = [pl.col("measure").cast(pl.Enum(measures)), pl.col("feature_set").cast(pl.Enum(names))]
    split = [pl.col("split") != "validation"] if "split" in rows.columns else []
    return rows.sort(*split, *keys)


def _filled(rows: pl.DataFrame, benchmark: str, **given: str) -> pl.DataFrame:
    """Rows of SCORES_SCHEMA; columns that a benchmark does not know are null."""
    named = rows.with_columns(**{column: pl.col(source) for column, source in given.items()})
    there = {*named.columns}
    return named.select(
        pl.lit(benchmark).alias("benchmark"),
        *(
            (pl.col(column) if column in there else pl.lit(None)).cast(kind).alias(column)
            for column, kind in SCORES_SCHEMA.items()
            if column != "benchmark"
        ),
    )
