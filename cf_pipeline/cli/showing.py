"""`gallery`."""

from __future__ import annotations

from typing import Annotated

import typer

from cf_pipeline.cli.console import HomeOption, named
from cf_pipeline.errors import ConfigError


def gallery(
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser, too.")] = False,
    home: HomeOption = None,
) -> None:
    """Say where the page of results lies: one file that opens from disk.

    Example: cf-pipeline gallery --open
    """
    from cf_pipeline.gallery.address import current_page

    address = current_page(named(home)).as_uri()
    typer.echo(address)
    if open_:
        import webbrowser

        if not webbrowser.open(address):
            raise ConfigError(
                "no browser could be started from here. Open the address above in one."
            )
