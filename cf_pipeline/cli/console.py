"""What every command shares: the console, the home, and storing choices."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from cf_pipeline.errors import ConfigError
from cf_pipeline.storage.home import HOME_VARIABLE, Home

if TYPE_CHECKING:
    from cf_pipeline.configuration.choices import Choices, Configuration
    from cf_pipeline.recompute.staleness import StageSpec
    from cf_pipeline.vision.backbones.backbone import Backbone

out = Console(width=None if sys.stdout.isatty() else 400, emoji=False)
"""A terminal has its width; a file or pipe gets lines that no table wraps in.

No emoji: `board:heart:old` is an id.
"""
beside = Console(width=None if sys.stderr.isatty() else 400, emoji=False, stderr=True)
"""For what is no part of an answer that a script reads."""

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help=r"Folder of everything a run writes. \[env: CF_PIPELINE_HOME]"),
]

ModelOption = Annotated[
    str | None,
    typer.Option(help="A model version, or how it begins; none: the champion, which serves."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For scripts.")]
DatasetOption = Annotated[Path | None, typer.Option(help="A dataset.toml.")]
RecipeOption = Annotated[str | None, typer.Option(help="The method, such as modern.")]
BudgetOption = Annotated[str | None, typer.Option(help="How much to spend: demo or full.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, as vision.epochs=40.")
]


def named(home: Path | None) -> Home:
    """The home that a command asks about, which need not be there.

    From here on the environment names it, since Dagster's definitions read its configuration.
    """
    place = Home.locate(home)
    os.environ[HOME_VARIABLE] = str(place.path)
    return place


def located(home: Path | None) -> Home:
    """The home that a command works on, there and writable."""
    place = named(home)
    place.create()
    return place


def all_stages() -> list[StageSpec]:
    """What every asset is made of, in the order of the graph."""
    with long_lived():
        import cf_pipeline.definitions  # noqa: F401 - its files name their assets as they load
        from cf_pipeline.defs.conditions import stages_in_order
    return stages_in_order()


@contextlib.contextmanager
def long_lived() -> Iterator[None]:
    """Inside, what is made lives as long as the process, as what importing makes does.

    Looking for garbage among it, meanwhile, later and at the end, finds none and takes a third of
    the time of `status` or of looking at one picture.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def store(place: Home, after: Choices, told: Console = out) -> None:
    """Store choices that resolve, and say what that changes."""
    # Inside: `--help` is to answer at once, and choices import every room's settings.
    from cf_pipeline.configuration.choices import Choices, resolve

    before = Choices.read(place.config_path)
    resolved = resolve(after)
    if after != before or not place.config_path.is_file():
        after.write(place.config_path)
    # What was stored may not resolve: a key that is no longer known can be taken back.
    with contextlib.suppress(ConfigError):
        for line in _changes(resolve(before), resolved):
            told.print(line, highlight=False)


def _changes(before: Configuration, after: Configuration) -> list[str]:
    lines = [
        f"{name}: {getattr(before, name)} -> {getattr(after, name)}"
        for name in ("dataset", "recipe", "budget")
        if getattr(before, name) != getattr(after, name)
    ]
    old, new = ({key: value for key, value, _ in c.fields()} for c in (before, after))
    lines += [
        f"{key}: {old.get(key, 'unset')} -> {new.get(key, 'unset')}"
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]
    return [escape(line) for line in lines]


def try_networks(place: Home, after: Configuration) -> None:
    """Build networks that were chosen just now, and load their weights.

    Else a name that the library does not have, a file of another network or a size that it does
    not take would be told minutes later, and stay in config.toml.

    Raises:
        ConfigError: one cannot be had.
    """
    from cf_pipeline.configuration.choices import Choices, resolve

    before = None
    with contextlib.suppress(ConfigError):  # what was stored may be what is put right now
        before = _networks(resolve(Choices.read(place.config_path)))
    for chosen in _networks(after):
        if before is None or chosen not in before:
            from cf_pipeline.vision.networks import initialized

            initialized(*chosen)


def _networks(configuration: Configuration) -> list[tuple[Backbone, int]]:
    """Every backbone with the side of its input."""
    vision, imagenet = configuration.vision, configuration.baselines.imagenet
    return [
        (vision.backbone, vision.schedule.image_size),
        (imagenet.backbone, imagenet.image_size),
    ]


def show_page(page: Path) -> None:
    """Say the address of a file and open it in the browser.

    Raises:
        ConfigError: no browser could be started.
    """
    import webbrowser

    address = page.as_uri()
    typer.echo(address)
    if not webbrowser.open(address):
        raise ConfigError("no browser could be started from here. Open the address above in one.")
