"""The command line `cf-pipeline`.

Thin: every command resolves a home, calls one function of a room below, and prints. Errors of the
project are one message on standard error and exit code 1; everything else is a traceback.
"""

from __future__ import annotations

import atexit
import os
import sys

import typer

from cf_pipeline.cli import inspecting, models, running, serving, validating
from cf_pipeline.errors import CfPipelineError

app = typer.Typer(
    help="Image features learned from what people do.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    running.run,
    serving.ui,
    validating.crossvalidate,
    inspecting.status,
    inspecting.config,
    inspecting.doctor,
    inspecting.export,
    models.accept,
    models.models,
    models.promote,
    models.gc,
    models.lineage,
):
    app.command()(command)


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
