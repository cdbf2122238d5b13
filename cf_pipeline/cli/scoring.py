"""`scores`, and the scoreboard that `run` ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cf_pipeline.cli.console import HomeOption, JsonOption, named, out
from cf_pipeline.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from cf_pipeline.models.scoreboards import TextBoard
    from cf_pipeline.storage.home import Home

HEADLINES = {
    "factors": ("recall_at_20",),
    "similarity": ("triplet_accuracy", "ndcg_at_10"),
    "probe": (".",),
}
"""Benchmark to what its measures hold that a run shows, of a task the metric that it is told by;
`scores` shows all of them."""
NOTE = "* chosen on validation. Values with 95 % intervals; docs/evaluation.md says how."


def scores(
    split: Annotated[
        str, typer.Option(help="test, validation or all: of what is judged by projects.")
    ] = "test",
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Tables in Markdown.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One long table.")] = False,
    as_json: JsonOption = False,
    model: Annotated[
        str | None,
        typer.Option(help="A model version, or how it begins; none: the one trained last."),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Of all models in the order of their training.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Show every score: how factors rank, how similar is judged, probes, new projects for users.

    Example: cf-pipeline scores --split validation
    Example: cf-pipeline scores --history
    Example: cf-pipeline scores --csv > scores.csv
    """
    import polars as pl

    from cf_pipeline.models.scoreboards import boards, scores_of, talk_board

    if history:
        _show_history(named(home), as_json)
        return
    if split not in {"test", "validation", "all"}:
        raise ConfigError(f"--split {split!r}: expected test, validation or all.")
    if as_markdown + as_csv + as_json > 1:
        raise ConfigError("--markdown, --csv and --json: expected one of them at most.")
    rows = scores_of(named(home), model)
    if split != "all":
        rows = rows.filter(pl.col("split").is_null() | (pl.col("split") == split))
    if rows.is_empty():
        raise ConfigError(
            "nothing was scored yet. Run cf-pipeline run, or ask for another --split or --model."
        )
    if as_json:
        typer.echo(rows.write_json())
    elif as_csv:
        typer.echo(rows.write_csv(), nl=False)
    elif as_markdown:
        shown = [*boards(rows), *filter(None, [talk_board(rows)])]
        typer.echo("\n\n".join(map(_as_markdown, shown)))
    else:
        print_boards(rows)
        if (theirs := talk_board(rows)) is not None:
            _print_board(theirs)
        out.print(f"\n{NOTE}")


def _as_markdown(board: TextBoard) -> str:
    from cf_pipeline.benchmark.report import markdown

    notes = "".join(f"\n\n{note}" for note in board.notes)
    return f"**{board.title}**\n\n{markdown(board.titles, board.rows)}{notes}"


def _show_history(place: Home, as_json: bool) -> None:
    from cf_pipeline.models.score_history import history_boards, score_history

    rows = score_history(place)
    if as_json:
        typer.echo(rows.write_json())
        return
    for board in history_boards(rows):
        _print_board(board)


def headlines(rows: pl.DataFrame) -> pl.DataFrame:
    """Of rows of SCORES_SCHEMA those that a run ends with: test, and few measures."""
    import polars as pl

    from cf_pipeline.benchmark.primary import is_primary

    wanted = pl.any_horizontal(
        (pl.col("benchmark") == benchmark) & pl.col("measure").str.contains("|".join(measures))
        for benchmark, measures in HEADLINES.items()
    )
    is_told = (pl.col("benchmark") != "probe") | is_primary()
    return rows.filter(wanted, is_told, pl.col("split").is_null() | (pl.col("split") == "test"))


def print_boards(rows: pl.DataFrame) -> None:
    """One table a measure, the chosen layer in bold.

    Args:
        rows: of SCORES_SCHEMA.
    """
    from cf_pipeline.models.scoreboards import boards

    for board in boards(rows):
        _print_board(board)


def _print_board(board: TextBoard) -> None:
    table = Table(*board.titles, box=None, pad_edge=False)
    for row in board.rows:
        table.add_row(*row, style="bold" if row[0].endswith("*") else None)
    out.print(f"\n[italic]{escape(board.title)}[/italic]", highlight=False)
    out.print(table)
    for note in board.notes:
        out.print(escape(note), style="dim", highlight=False)


def print_headlines(place: Home) -> None:
    """The scoreboard that a run ends with."""
    from cf_pipeline.models.scoreboards import scores_of

    print_boards(headlines(scores_of(place)))
    out.print(f"\n{NOTE}")
