"""The command line: `cf-pipeline run`, `ui`, `status`, `config`, `doctor`, `export`.

Thin: every command resolves a home, calls one function of a room below, and prints. Errors of the
project are one message on standard error and exit code 1; everything else is a traceback.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cf_pipeline.errors import CfPipelineError, ConfigError, DataError
from cf_pipeline.recipes.configuration import Choices, Configuration, resolve
from cf_pipeline.storage.home import Home

app = typer.Typer(
    help="Image features learned from what people do.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(width=None if sys.stdout.isatty() else 160)
"""A terminal has its width; a file or pipe gets lines that no table wraps in."""

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of everything a run writes. [env: CF_PIPELINE_HOME]"),
]


@app.command()
def run(
    dataset: Annotated[Path | None, typer.Option(help="A dataset.toml.")] = None,
    recipe: Annotated[str | None, typer.Option(help="The method, such as modern.")] = None,
    budget: Annotated[str | None, typer.Option(help="How much to spend: demo or full.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, as vision.epochs=40.")
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="Assets, comma-separated; none: all of them.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Compute what did not change, too.")] = False,
    home: HomeOption = None,
    wait: Annotated[bool, typer.Option(help="Queue behind a run that is going on.")] = False,
) -> None:
    """Bring every asset up to date; what did not change is not computed again.

    Choices are stored in the home's config.toml and hold until they are changed.

    Example: cf-pipeline run --budget demo --set vision.epochs=4
    """
    from cf_pipeline.definitions import defs
    from cf_pipeline.defs.running import run_pipeline
    from cf_pipeline.sources.dataset import load_dataset

    started = time.monotonic()
    place = Home.locate(home)
    place.create()
    choose = functools.partial(_chosen, place, dataset, recipe, budget, set_ or [])
    # A mistake is told before anybody waits; a run that is refused leaves no choices behind.
    load_dataset(resolve(choose()).dataset)
    outcome = run_pipeline(
        place,
        defs(),
        select=[name.strip() for name in select.split(",")] if select else [],
        force=force,
        wait=wait,
        on_start=lambda: _store(place, choose()),
    )
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    out.print(
        f"{len(outcome.computed)} assets computed, {len(outcome.unchanged)} unchanged, "
        f"{len(outcome.failures)} failed in {minutes}:{seconds:02d}"
    )
    for asset, message in outcome.failures.items():
        typer.echo(f"{asset}: {message}", err=True)
    if outcome.failures:
        raise typer.Exit(1)
    if {"similarity_scores", "benchmark_scores"} & {*outcome.computed, *outcome.unchanged}:
        _print_scoreboard(place)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of the webserver.")] = 3000,
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    home: HomeOption = None,
) -> None:
    """Start Dagster's webserver and daemon on this home.

    Example: cf-pipeline ui --port 3000
    """
    from cf_pipeline.defs.running import dagster_environment, write_workspace

    place = Home.locate(home)
    place.create()
    workspace = write_workspace(place)
    out.print(f"Dagster on http://{host}:{port}, home {escape(str(place.path))}; Ctrl-C stops it")
    dagster = Path(sys.executable).with_name("dagster")
    command = [str(dagster), "dev", "-w", str(workspace), "-p", str(port), "-h", host]
    os.execve(command[0], command, {**os.environ, **dagster_environment(place)})


@app.command()
def status(home: HomeOption = None) -> None:
    """Say of every asset whether it is fresh, stale and why, failed, and when it was computed.

    Example: cf-pipeline status
    """
    from cf_pipeline.definitions import defs
    from cf_pipeline.defs.status import pipeline_status

    place = Home.locate(home)
    place.create()
    table = Table("asset", "state", "computed (UTC)", "why", box=None, pad_edge=False)
    colors = {"fresh": "green", "stale": "yellow", "failed": "red", "missing": "dim"}
    for item in pipeline_status(place, defs()):
        when = item.computed_at.strftime("%Y-%m-%d %H:%M:%S") if item.computed_at else ""
        color = colors[item.state]
        table.add_row(item.asset, f"[{color}]{item.state}[/{color}]", when, escape(item.why))
    out.print(table)


@app.command()
def config(
    show: Annotated[bool, typer.Option("--show", help="Print everything, resolved.")] = False,
    unset: Annotated[str | None, typer.Option(help="Take a choice back.")] = None,
    home: HomeOption = None,
) -> None:
    """Show the configuration of this home, or take one choice back.

    Example: cf-pipeline config --unset vision.epochs
    """
    place = Home.locate(home)
    place.create()
    if unset is not None:
        _store(place, Choices.read(place.config_path).without(unset))
    if show or unset is None:
        choices = Choices.read(place.config_path)
        configuration = resolve(choices)
        out.print(f"# {escape(str(place.config_path))}")
        for name in ("dataset", "recipe", "budget"):
            out.print(f"{name} = {getattr(configuration, name)}", highlight=False)
        table = Table("key", "value", "", "meaning", box=None, pad_edge=False)
        for key, value, info in configuration.fields():
            chosen = any(k == key or k.startswith(f"{key}.") for k in choices.set)
            table.add_row(
                key, escape(str(value)), "chosen" if chosen else "", escape(info.description or "")
            )
        out.print(table)


@app.command()
def doctor(
    dataset: Annotated[Path | None, typer.Option(help="A dataset.toml to look at.")] = None,
    home: HomeOption = None,
) -> None:
    """Look at configuration, files, columns and joins before anything is computed.

    Example: cf-pipeline doctor --dataset mine/dataset.toml
    """
    from cf_pipeline.sources.dataset import load_dataset
    from cf_pipeline.sources.doctor import examine

    place = Home.locate(home)
    configuration = resolve(Choices.read(place.config_path))
    findings = examine(load_dataset(dataset or configuration.dataset))
    marks = {"ok": "[green]ok[/green]", "warning": "[yellow]warning[/yellow]"}
    for finding in findings:
        mark = marks.get(finding.level, "[red]error[/red]")
        remedy = f" {finding.remedy}" if finding.remedy else ""
        out.print(f"{mark}  {escape(finding.subject)}: {escape(finding.message + remedy)}")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="embeddings")],
    file: Annotated[Path, typer.Argument(help="A .parquet file to write.")],
    home: HomeOption = None,
) -> None:
    """Write embeddings of the current model to a Parquet file: ids, split, vectors.

    Example: cf-pipeline export embeddings embeddings.parquet
    """
    from cf_pipeline.defs.exporting import export_embeddings

    if what != "embeddings":
        raise DataError(f"export knows embeddings, got {what!r}.")
    place = Home.locate(home)
    rows, model = export_embeddings(place, file)
    out.print(f"{rows:,} embeddings of model {model} in {escape(str(file))}")


def _chosen(
    place: Home,
    dataset: Path | None,
    recipe: str | None,
    budget: str | None,
    assignments: list[str],
) -> Choices:
    """What is stored, with what was said on the command line over it."""
    changes: dict[str, Any] = {}
    if dataset is not None:
        changes["dataset"] = str(dataset.expanduser().resolve())
    if recipe is not None:
        changes["recipe"] = recipe
    if budget is not None:
        changes["budget"] = budget
    stored = Choices.read(place.config_path)
    return stored.model_copy(update=changes).with_assignments(assignments)


def _store(place: Home, after: Choices) -> None:
    """Store choices that resolve, and say what that changes."""
    before = Choices.read(place.config_path)
    resolved = resolve(after)
    if after != before or not place.config_path.is_file():
        after.write(place.config_path)
    # What was stored may not resolve: a key that is no longer known can be taken back.
    with contextlib.suppress(ConfigError):
        for line in _changes(resolve(before), resolved):
            out.print(line, highlight=False)


def _changes(before: Configuration, after: Configuration) -> list[str]:
    lines = [
        f"{name}: {getattr(before, name)} -> {getattr(after, name)}"
        for name in ("dataset", "recipe", "budget")
        if getattr(before, name) != getattr(after, name)
    ]
    pairs = zip(before.fields(), after.fields(), strict=True)
    lines += [f"{key}: {old} -> {new}" for (key, old, _), (_, new, _) in pairs if old != new]
    return [escape(line) for line in lines]


def _print_scoreboard(place: Home) -> None:
    from cf_pipeline.defs.exporting import scoreboards

    for title, titles, rows in scoreboards(place):
        table = Table(*titles, title=title, title_justify="left", box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row, style="bold" if row[0].endswith("*") else None)
        out.print()
        out.print(table)
    out.print("\n* chosen on validation. Values with 95 % intervals; docs/evaluation.md says how.")
    out.print(
        "Next: cf-pipeline ui, cf-pipeline status, cf-pipeline export embeddings FILE.parquet"
    )


def main() -> None:
    """Entry point: errors of the project become one message and exit code 1."""
    # Registered first, so it runs last: when the interpreter takes itself apart, DuckDB's bindings
    # list hundreds of objects that torch's module keeps alive, on a console meant to be read.
    atexit.register(_silence_teardown)
    try:
        app()
    except CfPipelineError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from error


def _silence_teardown() -> None:
    sys.stderr.flush()
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 2)
