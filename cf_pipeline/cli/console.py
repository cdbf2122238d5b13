"""What every command shares: the console, the home, and storing choices."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from cf_pipeline.errors import ConfigError
from cf_pipeline.recipes.configuration import Choices, Configuration, resolve
from cf_pipeline.storage.home import HOME_VARIABLE, Home

out = Console(width=None if sys.stdout.isatty() else 160)
"""A terminal has its width; a file or pipe gets lines that no table wraps in."""

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of everything a run writes. [env: CF_PIPELINE_HOME]"),
]


def located(home: Path | None) -> Home:
    """The home that a command works on, there and writable.

    From here on the environment names it, since Dagster's definitions read its configuration.
    """
    place = Home.locate(home)
    place.create()
    os.environ[HOME_VARIABLE] = str(place.path)
    return place


def store(place: Home, after: Choices) -> None:
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
