"""factor_scores: factors that know something beat popularity, and hiding is honest."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from cf_pipeline.factorization.als import Als
from cf_pipeline.factorization.ease import ease_scores, project_weights
from cf_pipeline.factorization.factorizer import Fitting
from cf_pipeline.factorization.holding_out import of_known_users, of_new_users
from cf_pipeline.factorization.ranking import (
    METRICS,
    FactorScores,
    by_factors,
    factor_scores,
    rank_users,
)
from cf_pipeline.interactions.matrix import InteractionMatrix, build_matrix


def communities(
    n_users: int = 60, n_projects: int = 120, share: float = 0.3, *, dated: bool = False
) -> InteractionMatrix:
    """Two communities that never meet, each user with a share of their community's projects."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{u:03}", f"p{p:03}", 2.0)
        for u in range(n_users)
        for p in range(n_projects)
        if u % 2 == p % 2 and rng.random() < share
    ]
    schema = ["user_id", "project_id", "confidence"]
    pairs = pl.DataFrame(rows, schema=schema, orient="row")
    if dated:
        days = pl.Series(rng.integers(1000, size=pairs.height))
        pairs = pairs.with_columns(occurred_at=datetime(2020, 1, 1) + pl.duration(days=days))
    return build_matrix(pairs)


ALS, FITTING = Als(n_iterations=10), Fitting(4, threads=1)


def scored(matrix: InteractionMatrix, max_users: int = 10_000) -> FactorScores:
    return factor_scores(matrix, ALS, FITTING, holdout=0.2, max_users=max_users)


def scores(matrix: InteractionMatrix, max_users: int = 10_000) -> pl.DataFrame:
    return scored(matrix, max_users).scores.filter(protocol="hidden_events")


@pytest.mark.parametrize("dated", [False, True])
def test_factors_beat_popularity_where_there_is_structure(dated: bool) -> None:
    matrix = communities(dated=dated)
    found = scored(matrix)
    known = "newest_events" if dated else "hidden_events"
    assert found.scores["protocol"].unique(maintain_order=True).to_list() == [known, "new_users"]
    value = {(r["protocol"], r["model"], r["metric"]): r for r in found.scores.to_dicts()}
    apart = {(r["protocol"], r["reference"], r["metric"]): r for r in found.differences.to_dicts()}
    n_users = {
        question.protocol: len(question.user_ids)
        for question in (ask(matrix, 0.2, 10_000, 0) for ask in (of_known_users, of_new_users))
    }
    assert n_users["new_users"] == 12
    for protocol in (known, "new_users"):
        for metric in METRICS:
            factors, popularity = (
                value[protocol, model, metric] for model in ("factors", "popularity")
            )
            assert apart[protocol, "popularity", metric]["difference"] > 0.05
            assert factors["low"] <= factors["value"] <= factors["high"]
            assert factors["n_users"] == n_users[protocol]
            assert "hidden projects of the user" in factors["denominator"]
            for model in ("item_knn", "ease"):  # which know as much of two communities
                assert value[protocol, model, metric]["value"] > popularity["value"]


def test_differences_are_paired_by_user() -> None:
    matrix = communities()
    found = scored(matrix)
    question = of_known_users(matrix, 0.2, 10_000, 0)
    ours = rank_users(question, by_factors(question, ALS, FITTING), 0)[:, 0]
    count = np.asarray((question.train.user_items > 0).sum(axis=0), dtype=np.float32)
    theirs = rank_users(question, lambda a, b: np.repeat(count, b - a, axis=0), 0)[:, 0]
    row = found.differences.row(
        by_predicate=(pl.col("protocol") == "hidden_events")
        & (pl.col("reference") == "popularity")
        & (pl.col("metric") == "recall_at_20"),
        named=True,
    )
    assert row["difference"] == pytest.approx(float(np.nanmean(ours - theirs)))
    assert row["low"] < row["difference"] < row["high"]
    assert set(found.differences["reference"]) == {"item_knn", "ease", "popularity"}


def test_some_users_stand_for_all_and_are_the_same_each_time() -> None:
    matrix = communities(n_users=300)
    everybody, some = scores(matrix), scores(matrix, max_users=100)
    assert some["n_users"].unique().to_list() == [100]
    assert everybody["n_users"].min() > 250
    assert some["value"].to_list() == pytest.approx(everybody["value"].to_list(), abs=0.06)
    assert some.equals(scores(matrix, max_users=100))


def test_recall_divides_by_all_hidden_projects() -> None:
    # One user, 30 hidden of 40 projects and a perfect model: 20 of 30 found.
    pairs = pl.DataFrame({
        "user_id": ["u"] * 40,
        "project_id": [f"{i:02}" for i in range(40)],
        "confidence": 2.0,
    })
    question = of_known_users(build_matrix(pairs), 0.75, 10, seed=0)
    perfect = (question.hidden.toarray() > 0).astype(np.float32)
    values = rank_users(question, lambda a, b: perfect[a:b], 0)
    assert values[0, 0] == pytest.approx(20 / question.hidden.nnz)
    assert values[0, 1:] == pytest.approx(1.0)


class TestEase:
    def test_weights_are_the_constrained_least_squares(self) -> None:
        """Column by column: a project from all others, by ridge (the dense twin)."""
        matrix = communities(20, 15).user_items
        seen = (matrix.toarray() > 0).astype(np.float64)
        expected = np.zeros((15, 15))
        for j in range(15):
            others = [i for i in range(15) if i != j]
            x = seen[:, others]
            expected[others, j] = np.linalg.solve(x.T @ x + 3 * np.eye(14), x.T @ seen[:, j])
        weights = project_weights(matrix, 3.0)
        np.testing.assert_allclose(weights, expected, atol=1e-5)
        np.testing.assert_allclose(ease_scores(matrix, weights), seen @ expected, atol=1e-5)
