"""The search for a home's factorizer: what it reads, where it is kept and tracked.

Trials of one search depend on the pruned matrix, the split, the code, and what is configured of
the factorization, which trials are compared with. Where any of that is another, as after the best
was written back, another search begins in the same journal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from cf_pipeline.configuration.choices import Choices, Configuration, resolve
from cf_pipeline.errors import ConfigError
from cf_pipeline.factorization.factorizer import Fitting
from cf_pipeline.factorization.holding_out import Question
from cf_pipeline.factorization.placing import train_matrix
from cf_pipeline.factorization.ranking import METRICS
from cf_pipeline.factorization.tuning import N_FACTORS, Search, tune, validation_question
from cf_pipeline.models.catalogue import warehouse_of
from cf_pipeline.recompute.versions import code_version, symbol_of
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.storage.whole import whole
from cf_pipeline.tracking import Tracker

_PARENTS = ("pruned_matrix", "project_split")
OnTrial = Callable[[int, int, dict[str, Any], float], None]


@dataclass(frozen=True)
class Tuned:
    """A search that is done.

    Attributes:
        trials: as `factorization.tuning.tune` returns them, best first.
        settings: columns of it that were searched.
        n_users: whom every trial was asked about.
        picture: PNG file of the trials.
        tracked: where wandb has it.
    """

    trials: pl.DataFrame
    settings: tuple[str, ...]
    n_users: int
    picture: Path
    tracked: str

    def assignments(self) -> list[str]:
        """The best settings, each as `key=value` for the configuration."""
        best = self.trials.row(0, named=True)
        keys = {
            name: "factorization.n_factors" if name == N_FACTORS else f"factorization.method.{name}"
            for name in self.settings
        }
        return [f"{key}={json.dumps(best[name])}" for name, key in keys.items()]


def tune_factors(
    home: Home, metric: str, n_trials: int, n_factors: tuple[int, ...], on_trial: OnTrial
) -> Tuned:
    """Search for settings of the home's factorizer.

    Args:
        home: has run as far as pruned_matrix and project_split.
        metric: one of METRICS, the mean over users of which is to be large.
        n_trials: in all, with those of earlier calls.
        n_factors: numbers of factors to search among beside the configured one.
        on_trial: hears of every trial as on_trial(done, total, settings, value).

    Raises:
        ConfigError: nothing to search in yet, no such metric, or the factorizer names no settings.
    """
    if metric not in METRICS:
        raise ConfigError(f"--metric {metric!r}: expected one of {', '.join(METRICS)}.")
    configuration = resolve(Choices.read(home.config_path))
    folder = home.path / "tuning"
    folder.mkdir(exist_ok=True)
    search, question = _search(
        configuration, warehouse_of(home), folder / "factors.journal", metric, n_trials, n_factors
    )
    facts = {"metric": metric, "factorizer": search.factorizer.name, "study": search.name}
    tracking = configuration.tracking
    tracker = Tracker(home.wandb_path, tracking.project, tracking.mode)
    with tracker.run(
        "tune factors", group=search.name, configuration=facts, kind="tuning"
    ) as tracked:

        def told(done: int, total: int, settings: dict[str, Any], value: float) -> None:
            numbers = {k: v for k, v in settings.items() if not isinstance(v, str)}
            tracked.log({metric: value, **numbers}, step=done)
            on_trial(done, total, settings, value)

        trials = tune(search, question, told)
        picture = _drawn(trials, list(search.space()), metric)
        tracked.table("trials", trials)
        tracked.image("slices", picture, f"{metric} of every trial")
        tracked.summarize({"best": trials["value"][0]})
    file = folder / "factors.png"
    with whole(file) as beside:
        beside.write_bytes(picture)
    return Tuned(
        trials,
        tuple(search.space()),
        len(question.user_ids),
        file,
        tracked.location or "not tracked",
    )


def _search(
    configuration: Configuration,
    warehouse: Warehouse,
    journal: Path,
    metric: str,
    n_trials: int,
    n_factors: tuple[int, ...],
) -> tuple[Search, Question]:
    """What to try, and whom to ask about."""
    missing = [name for name in _PARENTS if not warehouse.has(name)]
    if missing:
        raise ConfigError(
            f"settings are judged on pruned_matrix and project_split; not there yet: "
            f"{', '.join(missing)}. Run cf-pipeline run first."
        )
    config = configuration.factorization
    columns = ("user_id", "project_id", "confidence", "occurred_at")
    matrix = train_matrix(
        warehouse.frame("pruned_matrix", columns), warehouse.frame("project_split")
    )
    question = validation_question(matrix, config.holdout, config.max_users, config.seed)
    records = warehouse.records()
    versions = {name: records[name].data_version for name in _PARENTS}
    search = Search(
        config.method,
        Fitting(config.n_factors, config.seed, configuration.resources.n_threads),
        n_factors,
        metric,
        n_trials,
        journal,
        _name(configuration, metric, n_factors, versions),
    )
    return search, question


def _drawn(trials: pl.DataFrame, settings: list[str], metric: str) -> bytes:
    from cf_pipeline.figures.search import search_slices  # matplotlib loads slowly

    return search_slices(trials, settings, metric)


def _name(
    configuration: Configuration, metric: str, n_factors: tuple[int, ...], versions: dict[str, str]
) -> str:
    """Of a study: equal where trials may stand beside each other."""
    config = configuration.factorization
    asked = {
        "method": config.method.model_dump(),
        "n_factors": [config.n_factors, *sorted(n_factors)],
        "holdout": config.holdout,
        "max_users": config.max_users,
        "seed": config.seed,
        "metric": metric,
        "code": code_version(symbol_of(tune), [type(config.method)]),
        "versions": versions,
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return f"{config.method.name}-{digest[:12]}"
