"""The command line `cf-pipeline`.

Thin: every command resolves a home, calls one function of a room below, and prints. Errors of the
project are one message on standard error and exit code 1; everything else is a traceback.
"""

from __future__ import annotations

import atexit
import os
import sys
from importlib import metadata
from typing import Annotated

import typer

from cf_pipeline.cli import (
    describing,
    exporting,
    inspecting,
    models,
    running,
    scoring,
    searching,
    serving,
    showing,
    tuning,
    validating,
)
from cf_pipeline.cli.console import out
from cf_pipeline.errors import CfPipelineError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _say(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cf-pipeline {metadata.version('cf-pipeline')}")
        raise typer.Exit


for command in (
    running.run,
    searching.similar,
    searching.recommend,
    searching.embed,
    scoring.scores,
    serving.ui,
    validating.crossvalidate,
    inspecting.status,
    inspecting.config,
    describing.init,
    inspecting.doctor,
    exporting.export,
    showing.gallery,
    models.accept,
    models.models,
    models.promote,
    models.gc,
    models.lineage,
):
    app.command()(command)
app.add_typer(tuning.tune, name="tune")


@app.callback()
def everywhere(
    version: Annotated[
        bool,
        typer.Option("--version", help="Say which release this is.", callback=_say, is_eager=True),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only errors, and what --json prints.")
    ] = False,
) -> None:
    """Image features learned from what people do."""
    out.quiet = quiet
    if quiet:
        os.environ["TQDM_DISABLE"] = "1"


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
