"""factor_scores: factors that know something beat popularity, and hiding is honest."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.als import Als
from cf_pipeline.factorization.factorizer import Fitting
from cf_pipeline.factorization.ranking import METRICS, _asked, factor_scores, hold_out, rank_users
from cf_pipeline.interactions.matrix import InteractionMatrix, build_matrix


def communities(n_users: int = 60, n_projects: int = 120, share: float = 0.3) -> InteractionMatrix:
    """Two communities that never meet, each user with a share of their community's projects."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{u:03}", f"p{p:03}", 2.0)
        for u in range(n_users)
        for p in range(n_projects)
        if u % 2 == p % 2 and rng.random() < share
    ]
    schema = ["user_id", "project_id", "confidence"]
    return build_matrix(pl.DataFrame(rows, schema=schema, orient="row"))


ALS, FITTING = Als(n_iterations=10), Fitting(4, threads=1)


def scores(matrix: InteractionMatrix, max_users: int = 10_000) -> pl.DataFrame:
    return factor_scores(matrix, ALS, FITTING, holdout=0.2, max_users=max_users)


def test_factors_beat_popularity_where_there_is_structure() -> None:
    matrix = communities()
    table = scores(matrix)
    hidden = hold_out(matrix, 0.2, FITTING.seed).hidden
    value = {(r["model"], r["metric"]): r for r in table.to_dicts()}
    for metric in METRICS:
        factors, popularity = value["factors", metric], value["popularity", metric]
        assert factors["low"] > popularity["high"]
        assert factors["low"] <= factors["value"] <= factors["high"]
        assert factors["n_users"] == (np.diff(hidden.indptr) > 0).sum()


def test_of_many_users_some_are_asked_and_a_newcomer_moves_at_most_one() -> None:
    matrix = communities()
    parts = hold_out(matrix, 0.2, FITTING.seed)
    assert set(scores(matrix, max_users=20)["n_users"]) == {20}
    asked = _asked(parts, matrix.user_ids, 20, FITTING.seed)
    again = _asked(parts, ("newcomer", *matrix.user_ids[1:]), 20, FITTING.seed)
    assert len(set(asked) - set(again)) <= 1
    # With room for all, everyone of whom something is hidden is asked.
    everyone = _asked(parts, matrix.user_ids, 10_000, FITTING.seed)
    assert np.array_equal(everyone, np.flatnonzero(np.diff(parts.hidden.indptr)))


def test_some_users_stand_for_all_and_are_the_same_each_time() -> None:
    matrix = communities(n_users=300)
    everybody, some = scores(matrix), scores(matrix, max_users=100)
    assert some["n_users"].unique().to_list() == [100]
    assert everybody["n_users"].min() > 250
    assert some["value"].to_list() == pytest.approx(everybody["value"].to_list(), abs=0.05)
    assert some.equals(scores(matrix, max_users=100))
    n_answered = everybody["n_users"].max()
    assert scores(matrix, max_users=n_answered).equals(everybody)


def test_hidden_and_kept_events_share_none_and_make_all() -> None:
    matrix = communities()
    holdout = hold_out(matrix, 0.2, seed=0)
    assert holdout.kept.multiply(holdout.hidden).nnz == 0
    assert ((holdout.kept + holdout.hidden) != matrix.user_items).nnz == 0
    assert holdout.hidden.nnz / matrix.user_items.nnz == pytest.approx(0.2, abs=0.04)


def test_recall_divides_by_all_hidden_projects() -> None:
    # One user, 30 hidden of 40 projects and a perfect model: 20 of 30 found.
    pairs = pl.DataFrame({
        "user_id": ["u"] * 40,
        "project_id": [f"{i:02}" for i in range(40)],
        "confidence": 2.0,
    })
    holdout = hold_out(build_matrix(pairs), 0.75, seed=0)
    n_hidden = holdout.hidden.nnz
    perfect = (holdout.hidden.toarray() > 0).astype(np.float32)
    values = rank_users(holdout, lambda a, b: perfect[a:b], ("u",), 0)
    assert values[0, 0] == pytest.approx(20 / n_hidden)
    assert values[0, 1:] == pytest.approx(1.0)


def test_a_share_that_hides_nothing_is_refused() -> None:
    pairs = pl.DataFrame({"user_id": ["u"], "project_id": ["p"], "confidence": [2.0]})
    with pytest.raises(DataError, match="hides 0 of 1 events"):
        hold_out(build_matrix(pairs), 1e-9, seed=0)
