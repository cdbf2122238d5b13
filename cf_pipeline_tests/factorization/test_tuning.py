"""The search finds what is better, goes on where it was left, and sees nothing of the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.factorization.als import Als
from cf_pipeline.factorization.factorizer import Factorizer, Fitting
from cf_pipeline.factorization.holding_out import Question, of_known_users
from cf_pipeline.factorization.sampled_mf import SampledMf
from cf_pipeline.factorization.tuning import Search, tune, validation_question
from cf_pipeline.metrics.ranking import Floats
from cf_pipeline_tests.factorization.test_ranking import communities

MATRIX = communities()
QUESTION = validation_question(MATRIX, 0.2, 10_000, 0)
CRUSHED = Als(regularization=0.099, unobserved_weight=0.9, n_iterations=4)
"""So much lambda that nothing is left."""


def search(folder: Path, factorizer: Factorizer = CRUSHED, **more: Any) -> Search:
    given = {"n_factors": (4,), "metric": "recall_at_20", "n_trials": 8, "name": "mine", **more}
    return Search(factorizer, Fitting(4, threads=1), journal=folder / "journal", **given)


def quiet(done: int, total: int, settings: dict[str, Any], value: float) -> None:
    pass


def test_the_best_comes_first_and_beats_what_was_configured(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    trials = tune(search(tmp_path), QUESTION, lambda done, n, _s, _v: heard.append((done, n)))
    assert heard == [(n, 8) for n in range(1, 9)]
    assert trials["value"].is_sorted(descending=True)
    configured = trials.filter(trial=0).row(0, named=True)
    assert configured["regularization"] == pytest.approx(0.099)
    assert configured["difference"] == 0
    best = trials.row(0, named=True)
    assert best["difference_low"] > 0
    assert best["value"] - configured["value"] == pytest.approx(best["difference"])


def test_stopped_and_started_again_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    columns = ["trial", "regularization", "unobserved_weight", "n_factors", "value"]
    more: dict[str, Any] = {"n_factors": (3, 4)}
    whole = tune(search(tmp_path / "whole", **more), QUESTION, quiet)
    tune(search(tmp_path / "parts", n_trials=3, **more), QUESTION, quiet)
    heard: list[int] = []
    parts = tune(search(tmp_path / "parts", **more), QUESTION, lambda done, *_: heard.append(done))
    assert heard == [4, 5, 6, 7, 8]
    assert parts.select(columns).equals(whole.select(columns))


def test_a_search_that_was_cut_off_within_a_trial_goes_on_with_the_same(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    columns = ["trial", "regularization", "unobserved_weight", "value"]
    whole = tune(search(tmp_path / "whole", n_trials=4), QUESTION, quiet)

    class Killed(Search):
        def value(self, question: Question, settings: Mapping[str, Any]) -> Floats:
            if settings != self.configured():
                raise KeyboardInterrupt
            return super().value(question, settings)

    once = search(tmp_path / "killed", n_trials=4)
    with pytest.raises(KeyboardInterrupt):
        tune(Killed(**vars(once)), QUESTION, quiet)
    assert tune(once, QUESTION, quiet).select(columns).equals(whole.select(columns))


def test_settings_that_cannot_be_fitted_are_a_trial_without_a_row(tmp_path: Path) -> None:
    class Fails(Search):
        def value(self, question: Question, settings: Mapping[str, Any]) -> Floats:
            if settings != self.configured() and settings["unobserved_weight"] < 0.1:
                raise DataError("no such fit")
            return super().value(question, settings)

    trials = tune(Fails(**vars(search(tmp_path))), QUESTION, quiet)
    assert 1 < trials.height < 8
    assert (trials["unobserved_weight"] >= 0.1).all()
    assert 0 in trials["trial"]


def test_trial_0_is_what_is_configured_even_where_nobody_would_search(tmp_path: Path) -> None:
    far = Als(regularization=5.0, unobserved_weight=3.0, n_iterations=2)
    trials = tune(search(tmp_path, far, n_factors=(2, 3), n_trials=2), QUESTION, quiet)
    first = trials.filter(trial=0).row(0, named=True)
    said = (first["regularization"], first["unobserved_weight"], first["n_factors"])
    assert said == (5.0, 3.0, 4)
    assert first["difference"] == 0


def test_the_slides_method_is_searched_too_words_included(tmp_path: Path) -> None:
    trials = tune(search(tmp_path, SampledMf(n_iterations=3), n_trials=4), QUESTION, quiet)
    assert set(trials["drawn"]) <= {"popularity", "uniform"}
    assert trials["negatives"].n_unique() > 1


def test_what_factor_scores_reports_on_is_not_seen() -> None:
    reported = of_known_users(MATRIX, 0.2, 10_000, 0)
    assert reported.rows is not None
    seen = QUESTION.train.user_items.copy()
    assert QUESTION.rows is not None
    hidden = np.zeros(seen.shape, dtype=bool)
    hidden[reported.rows] = reported.hidden.toarray() > 0
    asked = np.zeros(seen.shape, dtype=bool)
    asked[QUESTION.rows] = QUESTION.hidden.toarray() > 0
    assert not (hidden & (seen.toarray() > 0)).any()
    assert not (hidden & asked).any()


def test_a_factorizer_that_names_nothing_to_search_is_told(tmp_path: Path) -> None:
    class Mine(Factorizer):
        name: str = "mine"

    with pytest.raises(ConfigError, match="'mine' says of no setting what to search among"):
        tune(search(tmp_path, Mine()), QUESTION, quiet)
