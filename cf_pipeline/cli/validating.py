"""`crossvalidate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cf_pipeline.cli.console import (
    BudgetOption,
    DatasetOption,
    HomeOption,
    RecipeOption,
    SetOption,
    all_stages,
    located,
    out,
)
from cf_pipeline.cli.running import choices_of

if TYPE_CHECKING:
    import polars as pl


def crossvalidate(
    folds: Annotated[int, typer.Option(help="K: every hashed project is tested once.", min=3)] = 5,
    jobs: Annotated[int, typer.Option(help="Folds at a time.", min=1)] = 1,
    dataset: DatasetOption = None,
    recipe: RecipeOption = None,
    budget: BudgetOption = None,
    set_: SetOption = None,
    save: Annotated[
        Path | None, typer.Option(help="Keep the table as JSON, with commit and hardware.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The table alone, for scripts.")] = False,
    home: HomeOption = None,
) -> None:
    """Test every project once, in K homes below HOME/folds, and pool the scoreboard.

    What is configured here holds for the folds and changes nothing in the home itself. Stopped and
    started again, it goes on where it was.

    Example: cf-pipeline crossvalidate --folds 5 --budget demo --save docs/results/mine.json
    """
    from cf_pipeline.configuration.choices import resolve
    from cf_pipeline.models.crossvalidation import Folds
    from cf_pipeline.models.saved_board import SavedBoard, stood_beside

    place = located(home)
    choices = choices_of(place, dataset, recipe, budget, set_ or [])
    resolve(choices.with_assignments([f"split.folds={folds}"]))  # a mistake is told at once
    validation = Folds(place, choices, folds, all_stages())
    validation.compute(jobs)
    board = validation.scoreboard()
    if save is not None:
        facts = stood_beside(["cf-pipeline", *sys.argv[1:]])
        SavedBoard(**facts, folds=folds, rows=board).write(save)
    if as_json:
        typer.echo(json.dumps(board.to_dicts()))
    else:
        _print_board(board, folds)


def _print_board(board: pl.DataFrame, folds: int) -> None:
    from cf_pipeline.benchmark.report import pooled_boards

    for title, titles, rows in pooled_boards(board):
        table = Table(
            *titles, title=f"{title}, {folds} folds", title_justify="left", box=None, pad_edge=False
        )
        for row in rows:
            table.add_row(*row, style="bold" if row[0] == "chosen" else None)
        out.print(table)
        out.print()
    out.print("chosen: each fold's own layer. Differences with 95 % intervals over groups.")
