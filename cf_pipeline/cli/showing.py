"""`gallery`."""

from __future__ import annotations

from typing import Annotated

import typer

from cf_pipeline.cli.console import HomeOption, named, show_page


def gallery(
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser, too.")] = False,
    home: HomeOption = None,
) -> None:
    """Say where the page of results lies: one file that opens from disk.

    Example: cf-pipeline gallery --open
    """
    from cf_pipeline.gallery.address import current_page

    page = current_page(named(home))
    if page.is_outdated:
        typer.echo(
            f"note: the page shows model {page.model}, and another was trained since. Run "
            "cf-pipeline run --select gallery for a new one.",
            err=True,
        )
    if open_:
        show_page(page.file)
    else:
        typer.echo(page.file.as_uri())
