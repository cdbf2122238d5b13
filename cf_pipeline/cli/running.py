"""`run`."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cf_pipeline.cli.console import (
    BudgetOption,
    DatasetOption,
    HomeOption,
    RecipeOption,
    SetOption,
    located,
    out,
    store,
    try_networks,
)
from cf_pipeline.cli.scoring import print_headlines
from cf_pipeline.errors import ConfigError
from cf_pipeline.storage.home import Home

if TYPE_CHECKING:
    from cf_pipeline.configuration.choices import Choices

RESULTS = Path(__file__).parents[2] / "docs" / "results"
"""What the default recipe gave, of a checkout; whoever has installed a wheel has none."""


def run(
    dataset: DatasetOption = None,
    recipe: RecipeOption = None,
    budget: BudgetOption = None,
    set_: SetOption = None,
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
    started = time.monotonic()
    place = located(home)  # the definitions read its configuration when they are imported
    from cf_pipeline.configuration.choices import resolve
    from cf_pipeline.definitions import defs
    from cf_pipeline.defs.automation import check_automation
    from cf_pipeline.defs.running import Wanted, asset_names, run_pipeline
    from cf_pipeline.sources.dataset import load_dataset

    choose = functools.partial(choices_of, place, dataset, recipe, budget, set_ or [])
    # A mistake is told before anybody waits; a run that is refused leaves no choices behind.
    wanted, definitions = resolve(choose()), defs()
    load_dataset(wanted.dataset)  # first: a path with a slip in it is no other data set
    _refuse_another_data_set(place, choose())
    try_networks(place, wanted)
    check_automation(wanted.automation, asset_names(definitions))
    wish = Wanted(
        select=[name.strip() for name in select.split(",")] if select else [],
        force=force,
        wait=wait,
        on_start=lambda: store(place, choose()),
        log_level="ERROR" if out.quiet else "INFO",
    )
    outcome = run_pipeline(place, definitions, wish)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    again = f"{len(outcome.found_again)} found again, " if outcome.found_again else ""
    out.print(
        f"{len(outcome.computed)} assets computed, {again}{len(outcome.unchanged)} unchanged, "
        f"{len(outcome.failures)} failed in {minutes}:{seconds:02d}"
    )
    if outcome.not_run:
        out.print(f"not run, since what they read failed: {', '.join(outcome.not_run)}")
    for asset, message in outcome.failures.items():
        typer.echo(f"{asset}: {message}", err=True)
    if outcome.failures:
        raise typer.Exit(1)
    shown = {*outcome.computed, *outcome.found_again, *outcome.unchanged}
    if {"similarity_scores", "benchmark_scores"} & shown:
        print_headlines(place)
        print_what_folds_say(place)
        out.print("Next: cf-pipeline scores, similar IMAGE, ui, export embeddings FILE.parquet")
    if "gallery" in shown:
        _print_address(place)


def choices_of(
    place: Home,
    dataset: Path | None,
    recipe: str | None,
    budget: str | None,
    assignments: list[str],
) -> Choices:
    """What is stored, with what was said on the command line over it."""
    from cf_pipeline.configuration.choices import Choices

    changes: dict[str, Any] = {}
    if dataset is not None:
        changes["dataset"] = str(dataset.expanduser().resolve())
    if recipe is not None:
        changes["recipe"] = recipe
    if budget is not None:
        changes["budget"] = budget
    stored = Choices.read(place.config_path)
    return stored.model_copy(update=changes).with_assignments(assignments)


def _refuse_another_data_set(place: Home, chosen: Choices) -> None:
    """A home belongs to one data set: another's rows would take the place of all that is there."""
    from cf_pipeline.configuration.choices import Choices

    stored = Choices.read(place.config_path)
    computed = place.warehouse_path.exists() and place.config_path.exists()
    # A data set that is gone from where it was has moved, and is the same one.
    if computed and chosen.dataset != stored.dataset and Path(stored.dataset).exists():
        raise ConfigError(
            f"{place.path} belongs to {stored.dataset}, and {chosen.dataset} is another data set. "
            "Give it a home of its own: --home DIR."
        )


def print_what_folds_say(place: Home) -> None:
    """One split decides little: what this data set's folds gave, where a checkout has it."""
    from cf_pipeline.benchmark.feature_sets import IMAGENET
    from cf_pipeline.configuration.choices import Choices, resolve
    from cf_pipeline.models.saved_board import SavedBoard
    from cf_pipeline.sources.dataset import load_dataset

    chosen = resolve(Choices.read(place.config_path))
    file = RESULTS / f"{load_dataset(chosen.dataset).name}.json"
    if chosen.recipe != Choices().recipe or not file.is_file():
        out.print("One split decides little: cf-pipeline crossvalidate --folds 5 pools five.")
        return
    board = SavedBoard.read(file)
    said = ", ".join(f"{measure} {cell}" for measure, cell in board.chosen_minus(IMAGENET).items())
    out.print(
        f"One split decides little. Over {board.folds} folds, `{board.command}` at {board.commit} "
        f"gave for the chosen layers minus {IMAGENET}: {said}.",
        highlight=False,
    )


def _print_address(place: Home) -> None:
    """Where the page lies, last and alone on its line: what one looks at next.

    Without covers there is none.
    """
    from cf_pipeline.gallery.address import current_page
    from cf_pipeline.models.catalogue import warehouse_of

    if not warehouse_of(place).frame("gallery", ("model_version",)).is_empty():
        typer.echo(current_page(place).file.as_uri())
