"""`tune factors`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from cf_pipeline.cli.console import HomeOption, JsonOption, beside, located, out, store
from cf_pipeline.errors import ConfigError

tune = typer.Typer(no_args_is_help=True, help="Search for settings.")


@tune.callback()
def _tune() -> None:
    """Search for settings, and keep them if asked to."""


@tune.command()
def factors(
    trials: Annotated[
        int, typer.Option(help="In all; those of an earlier search count.", min=1)
    ] = 40,
    metric: Annotated[str, typer.Option(help="What is to be large.")] = "ndcg_at_100",
    n_factors: Annotated[
        str | None,
        typer.Option(help="Numbers of factors to search among, as 32,64,128; none: as configured."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the best into config.toml.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Search for settings of the factorizer by what it finds of hidden train events.

    Events are hidden among those that factor_scores fits to, so its figures stay unseen. The first
    trial is what is configured. Stopped and started again, it goes on where it was.

    Example: cf-pipeline tune factors --trials 60 --n-factors 32,64,128 --write
    """
    from cf_pipeline.configuration.choices import Choices
    from cf_pipeline.models.tuned import tune_factors

    place = located(home)
    found = tune_factors(place, metric, trials, _numbers(n_factors), _progress())
    if as_json:
        typer.echo(found.trials.write_json())
    else:
        out.print(_as_table(found.trials.head(10).to_dicts(), found.settings, metric))
        out.print(
            f"\n{found.trials.height} trials, {found.n_users:,} users. Differences to trial 0, "
            f"what is configured, are paired by user.\n{found.picture}\nwandb: {found.tracked}"
        )
    if write:
        best = Choices.read(place.config_path).with_assignments(found.assignments())
        store(place, best, told=beside if as_json else out)
    elif not as_json:
        chosen = " ".join(f"--set {assignment}" for assignment in found.assignments())
        there = f" --home {place.path}" if home else ""
        out.print(f"Keep the best: the same with --write, or cf-pipeline run{there} {chosen}")


def _numbers(text: str | None) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        found = (0,)
    if any(number < 2 for number in found):
        raise ConfigError(f"--n-factors {text!r}: expected whole numbers of 2 or more, as 32,64.")
    return found


def _progress() -> Any:
    import logging

    from cf_pipeline.recompute.progress import StageProgress

    told = StageProgress(logging.getLogger(__name__), "tune factors", "trials")

    def on_trial(done: int, total: int, settings: dict[str, Any], value: float) -> None:
        numbers = {k: v for k, v in settings.items() if isinstance(v, (int, float))}
        told(done, total, {"value": value, **numbers})

    return on_trial


def _as_table(rows: list[dict[str, Any]], settings: tuple[str, ...], metric: str) -> Table:
    table = Table("trial", *settings, metric, "minus configured", box=None, pad_edge=False)
    for row in rows:
        given = [v if isinstance(v, str) else f"{v:.4g}" for v in (row[s] for s in settings)]
        value = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]".replace("[", r"\[")
        apart = (
            f"{row['difference']:+.3f} "
            rf"\[{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
        )
        table.add_row(str(row["trial"]), *given, value, apart)
    return table
