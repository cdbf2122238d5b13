"""Settings of a factorizer, searched for by what they find of hidden events. Through Optuna.

`factor_scores` hides events and reports on them; here, events are hidden among those that it
fits to, so what is chosen has not seen what is reported. Trials stand in a journal file: a search
that was stopped goes on, and ends as one that was not, since each trial's draws follow from the
seed and from how many trials are done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.factorization.factorizer import Factorizer, Fitting, OneOf, Range
from cf_pipeline.factorization.holding_out import Question, of_known_users
from cf_pipeline.factorization.ranking import METRICS, N_RESAMPLES, by_factors, rank_users
from cf_pipeline.interactions.matrix import InteractionMatrix
from cf_pipeline.metrics.intervals import Interval, group_bootstrap, paired_group_bootstrap
from cf_pipeline.metrics.ranking import Floats

if TYPE_CHECKING:
    import optuna

N_FACTORS = "n_factors"
_FAILED = "failed"
_logger = logging.getLogger(__name__)

Settings = dict[str, Any]
OnTrial = Callable[[int, int, Settings, float], None]
"""Called as on_trial(done, total, settings, value)."""


@dataclass(frozen=True)
class Search:
    """What is searched for, and where trials are kept.

    Attributes:
        factorizer: as it is configured; settings that are not searched stay so.
        fitting: number of factors as configured, seed, threads.
        n_factors: numbers to search among beside the configured one.
        metric: one of METRICS.
        n_trials: in all, those of an earlier call counted.
        journal: the file of trials; its folder is there.
        name: of the study in it; another where anything that trials depend on is another.
    """

    factorizer: Factorizer
    fitting: Fitting
    n_factors: tuple[int, ...]
    metric: str
    n_trials: int
    journal: Path
    name: str

    def space(self) -> dict[str, Range | OneOf]:
        """Setting to what it is searched among.

        Raises:
            ConfigError: the factorizer names none.
        """
        found = dict(self.factorizer.search_space())
        if not found:
            raise ConfigError(
                f"the factorizer {self.factorizer.name!r} says of no setting what to search among. "
                "Give it a search_space, as docs/extending.md shows, or choose als or sampled_mf."
            )
        configured = self.factorizer.model_dump()
        for name, among in found.items():
            if isinstance(among, Range):  # what is configured is tried first, wherever it lies
                own = float(configured[name])
                found[name] = Range(min(among.low, own), max(among.high, own))
        numbers = tuple(sorted({*self.n_factors, self.fitting.n_factors}))
        return found | ({N_FACTORS: OneOf(numbers)} if len(numbers) > 1 else {})

    def configured(self) -> Settings:
        """The settings searched for, as they are configured."""
        given = {**self.factorizer.model_dump(), N_FACTORS: self.fitting.n_factors}
        return {name: given[name] for name in self.space()}

    def value(self, question: Question, settings: Mapping[str, Any]) -> Floats:
        """The metric of every user with these settings, shape (n_users,)."""
        given = dict(settings)
        n_factors = given.pop(N_FACTORS, self.fitting.n_factors)
        method = type(self.factorizer).model_validate({**self.factorizer.model_dump(), **given})
        score = by_factors(question, method, replace(self.fitting, n_factors=n_factors))
        values = rank_users(question, score, self.fitting.seed)
        return values[:, METRICS.index(self.metric)]


def validation_question(
    matrix: InteractionMatrix, holdout: float, max_users: int, seed: int
) -> Question:
    """Events hidden among those that factor_scores fits to; arguments as there."""
    reported = of_known_users(matrix, holdout, max_users, seed)
    return of_known_users(reported.train, holdout, max_users, seed + 1)


def tune(search: Search, question: Question, on_trial: OnTrial) -> pl.DataFrame:
    """Try settings, the configured ones first, until there are as many trials as asked for.

    Args:
        search: what to try.
        question: whom models are asked about.
        on_trial: hears of every trial, after it.

    Returns:
        A row for each trial: `trial`, a column for every setting, `value, low, high, seconds`, and
        `difference, difference_low, difference_high` to the configured settings, paired by user;
        best first. Settings that cannot be fitted are a trial without a row.

    Raises:
        DataError: the configured settings cannot be fitted.
    """
    import optuna  # slow to import

    study = _study(search)
    space = search.space()
    configured = search.configured()
    base = search.value(question, configured)
    while (done := len(_tried(study))) < search.n_trials:
        study.sampler = _sampler(search.fitting.seed, done)
        trial = study.ask()
        settings = {name: _suggest(trial, name, among) for name, among in space.items()}
        started = time.perf_counter()
        try:
            values = base if settings == configured else search.value(question, settings)
        except DataError as error:
            _logger.warning("trial %d failed with %s: %s", done, settings, error)
            trial.set_user_attr(_FAILED, str(error))
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        seconds = time.perf_counter() - started
        for name, found in _intervals(values, base, search.fitting.seed).items():
            trial.set_user_attr(name, (found.value, found.low, found.high))
        trial.set_user_attr("seconds", seconds)
        mean = float(np.nanmean(values))
        study.tell(trial, mean)
        on_trial(done + 1, search.n_trials, settings, mean)
    return _table(study)


def _intervals(values: Floats, base: Floats, seed: int) -> dict[str, Interval]:
    users = np.arange(len(values), dtype=np.int64)
    return {
        "value": group_bootstrap(values, users, N_RESAMPLES, seed),
        "difference": paired_group_bootstrap(values, base, users, N_RESAMPLES, seed),
    }


def _study(search: Search) -> optuna.Study:
    import optuna  # slow to import
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(search.journal))),
        study_name=search.name,
        direction="maximize",
        load_if_exists=True,
    )
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # its process has ended
    waiting = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
    if not _tried(study) and not waiting:
        study.enqueue_trial(search.configured())
    return study


def _sampler(seed: int, n_done: int) -> optuna.samplers.BaseSampler:
    import optuna

    own = np.random.SeedSequence([seed, n_done]).generate_state(1)[0]
    return optuna.samplers.TPESampler(seed=int(own))


def _tried(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that came to an end, in their order; not those that were cut off."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name == "COMPLETE" or _FAILED in trial.user_attrs
    ]


def _suggest(trial: optuna.Trial, name: str, among: Range | OneOf) -> Any:
    if isinstance(among, OneOf):
        return trial.suggest_categorical(name, among.values)
    return trial.suggest_float(name, among.low, among.high, log=True)


def _table(study: optuna.Study) -> pl.DataFrame:
    rows = []
    for number, trial in enumerate(_tried(study)):
        if _FAILED in trial.user_attrs:
            continue
        value, low, high = trial.user_attrs["value"]
        apart, apart_low, apart_high = trial.user_attrs["difference"]
        rows.append({
            "trial": number,
            **trial.params,
            "value": value,
            "low": low,
            "high": high,
            "difference": apart,
            "difference_low": apart_low,
            "difference_high": apart_high,
            "seconds": trial.user_attrs["seconds"],
        })
    return pl.DataFrame(rows).sort("value", "trial", descending=[True, False])
