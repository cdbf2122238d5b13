"""A model's scores out of a home, and as boards that fit a terminal, one a measure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain

import polars as pl

from cf_pipeline.benchmark.feature_sets import USER_TABLE
from cf_pipeline.benchmark.inputs import frozen_set
from cf_pipeline.benchmark.report import difference_cell, notes_of, told_of_set, value_cell
from cf_pipeline.benchmark.scoreboard import BENCHMARKS, score_rows
from cf_pipeline.benchmark.talk import beside_the_talk
from cf_pipeline.models.catalogue import current_model, model_meant, warehouse_of
from cf_pipeline.sql import equals
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse

_TITLES = {
    "factors": "Factors rank hidden events",
    "similarity": "Image similarity",
    "probe": "Linear probe",
    "cold_start": "New projects for users",
}
THEIRS = (
    "Theirs are of 2015, of other networks, data and splits, by metrics that the slide does not "
    "state. wikiart7 and caltech101 stand in for larger sets."
)
_COUNTED = {"factors": "users", "similarity": "queries", "probe": "images", "cold_start": "users"}


@dataclass(frozen=True)
class TextBoard:
    """One measure as text.

    Attributes:
        title: benchmark, measure, split and how many were asked.
        titles: of the columns.
        rows: of cells; the chosen layer's name ends with ` *`.
        notes: what must be known of rows.
    """

    title: str
    titles: list[str]
    rows: list[list[str]]
    notes: tuple[str, ...] = ()


def scores_of(home: Home, model: str | None = None) -> pl.DataFrame:
    """Every score that the home holds of a model: how factors rank first, then its features.

    How factors rank is told of today's, so not beside a model that is not the newest.

    Args:
        home: where.
        model: a model version or how it begins; None: the one that was trained last.

    Returns:
        Rows of SCORES_SCHEMA, as `score_rows` makes them.

    Raises:
        DataError: nothing was trained yet, or there is no such model.
    """
    warehouse = warehouse_of(home)
    newest = current_model(warehouse, home)
    version = model_meant(warehouse, home, model) if model else newest
    scored = [
        names
        for benchmark, names in BENCHMARKS.items()
        if warehouse.has(names[0]) and (benchmark != "factors" or version == newest)
    ]
    of_model = equals("model_version", version)
    tables = {
        name: warehouse.frame(name, where=None if name == "factor_scores" else of_model)
        for name in chain.from_iterable(scored)
    }
    if not warehouse.has(USER_TABLE):  # a home that has not run since there was one
        return score_rows(tables)
    return score_rows(tables, frozen_set(partial(_read, warehouse)))


def _read(
    warehouse: Warehouse, table: str, *columns: str, where: str | None = None
) -> pl.DataFrame:
    return warehouse.frame(table, columns, where=where)


def boards(scores: pl.DataFrame) -> list[TextBoard]:
    """A board for every benchmark, split and measure that has a value.

    Args:
        scores: rows of SCORES_SCHEMA.
    """
    found = []
    for here in scores.partition_by("benchmark", "split", "measure", maintain_order=True):
        if here["value"].is_not_null().any():
            found.append(_board(here))
    return found


def _board(here: pl.DataFrame) -> TextBoard:
    benchmark, measure = str(here["benchmark"][0]), str(here["measure"][0])
    split: str | None = here["split"][0]
    n, groups = (max(here[count].drop_nulls(), default=None) for count in ("n", "n_groups"))
    asked = f"{n} {_COUNTED[benchmark]}" + (f" of {groups} groups" if groups is not None else "")
    if of_set := told_of_set(here.row(0, named=True)):
        asked += f" scored; {of_set}"
    of_split = f", {split}" if split is not None else ""
    titles = ["feature set" if benchmark != "factors" else "model", measure]
    reference = here["reference"].drop_nulls()
    if len(reference):
        titles.append(f"minus {reference[0]}")
    rows = []
    for row in here.iter_slices(1):
        name = row["name"].item() + (" *" if row["chosen"].item() else "")
        spread = row["deviation"].item()
        between = "" if spread is None else f", {spread:.3f} between draws"
        cells = [name, value_cell(row) + between]
        if len(reference):
            apart = row.select("difference", low="difference_low", high="difference_high")
            cells.append(difference_cell(apart))
        rows.append(cells)
    title = f"{_TITLES[benchmark]}{of_split} ({asked})"
    return TextBoard(title, titles, rows, notes_of(here, "name"))


def talk_board(scores: pl.DataFrame) -> TextBoard | None:
    """The talk's last slide with ours beside theirs; None where no task was scored.

    Args:
        scores: rows of SCORES_SCHEMA.
    """
    probes = scores.filter(benchmark="probe")
    if probes.is_empty():
        return None
    titles, rows = beside_the_talk(probes.rename({"name": "feature_set"}))
    return TextBoard(
        "The talk's last slide in percent, theirs in brackets", titles, rows, (THEIRS,)
    )
