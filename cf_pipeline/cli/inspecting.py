"""`status`, `config` and `doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cf_pipeline.cli.console import (
    HomeOption,
    all_stages,
    named,
    out,
    store,
    try_networks,
)
from cf_pipeline.storage.home import Home

if TYPE_CHECKING:
    from cf_pipeline.recompute.status import AssetStatus


def status(
    as_json: Annotated[bool, typer.Option("--json", help="A list, for scripts.")] = False,
    home: HomeOption = None,
) -> None:
    """Say of every asset whether it is fresh, stale and why, failed, held; computed when.

    Exit code 1 where one failed. Asking makes no home.

    Example: cf-pipeline status --json
    """
    from cf_pipeline.recompute.status import pipeline_status

    place = named(home)
    found = pipeline_status(place, all_stages())
    if as_json:
        rows = [{"asset": s.asset, "state": s.state, "why": s.why} for s in found]
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_status(found)
    if any(item.state == "failed" for item in found):
        raise typer.Exit(1)


def _print_status(found: list[AssetStatus]) -> None:
    table = Table("asset", "state", "computed (UTC)", "why", box=None, pad_edge=False)
    colors = {
        "fresh": "green",
        "stale": "yellow",
        "failed": "red",
        "missing": "dim",
        "held": "blue",
    }
    for item in found:
        when = item.computed_at.strftime("%Y-%m-%d %H:%M:%S") if item.computed_at else ""
        color = colors[item.state]
        table.add_row(item.asset, f"[{color}]{item.state}[/{color}]", when, escape(item.why))
    out.print(table)


def config(
    assignments: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Choices to make.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print everything, resolved.")] = False,
    unset: Annotated[str | None, typer.Option(help="Take a choice back.")] = None,
    home: HomeOption = None,
) -> None:
    """Show the configuration of this home, make choices, or take one back. Nothing is computed.

    Example: cf-pipeline config vision.epochs=8 budget=demo
    Example: cf-pipeline config --unset vision.epochs
    """
    from cf_pipeline.configuration.choices import Choices, resolve

    place = named(home)
    if assignments or unset is not None:
        place.create()
        choices = Choices.read(place.config_path)
        choices = choices if unset is None else choices.without(unset)
        choices = choices.with_assignments(assignments or [])
        try_networks(place, resolve(choices))
        store(place, choices)
    if show or not (assignments or unset):
        _print_configuration(place)


def _print_configuration(place: Home) -> None:
    from cf_pipeline.configuration.choices import Choices, resolve

    choices = Choices.read(place.config_path)
    configuration = resolve(choices)
    out.print(f"# {escape(str(place.config_path))}")
    for name in ("dataset", "recipe", "budget"):
        out.print(f"{name} = {getattr(configuration, name)}", highlight=False)
    table = Table("key", "value", "", "meaning", box=None, pad_edge=False)
    for key, value, meaning in configuration.fields():
        chosen = any(k == key or k.startswith(f"{key}.") for k in choices.set)
        table.add_row(key, escape(str(value)), "chosen" if chosen else "", escape(meaning))
    out.print(table)


def doctor(
    dataset: Annotated[Path | None, typer.Option(help="A dataset.toml to look at.")] = None,
    home: HomeOption = None,
) -> None:
    """Look at configuration, files, columns and joins before anything is computed.

    Example: cf-pipeline doctor --dataset mine/dataset.toml
    """
    from cf_pipeline.configuration.choices import Choices, resolve
    from cf_pipeline.sources.dataset import load_dataset
    from cf_pipeline.sources.doctor import examine
    from cf_pipeline.sources.reading import Limits

    place = Home.locate(home)
    configuration = resolve(Choices.read(place.config_path))
    limits = Limits(configuration.resources.memory_limit, configuration.resources.threads or None)
    findings = examine(load_dataset(dataset or configuration.dataset), limits)
    marks = {"ok": "[green]ok[/green]", "warning": "[yellow]warning[/yellow]"}
    for finding in findings:
        mark = marks.get(finding.level, "[red]error[/red]")
        remedy = f" {finding.remedy}" if finding.remedy else ""
        out.print(f"{mark}  {escape(finding.subject)}: {escape(finding.message + remedy)}")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)
