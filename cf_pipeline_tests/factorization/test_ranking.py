"""factor_scores: factors that know something beat popularity, and hiding is honest."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.config import FactorizationConfig
from cf_pipeline.factorization.ranking import factor_scores, hold_out, rank_users
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


def test_factors_beat_popularity_where_there_is_structure() -> None:
    matrix, config = communities(), FactorizationConfig(n_factors=4, n_iterations=10)
    table = factor_scores(matrix, config)
    hidden = hold_out(matrix, config.holdout, config.seed).hidden
    value = {(r["model"], r["metric"]): r for r in table.to_dicts()}
    for metric in ("recall_at_20", "ndcg_at_20"):
        factors, popularity = value["factors", metric], value["popularity", metric]
        assert factors["low"] > popularity["high"]
        assert factors["low"] <= factors["value"] <= factors["high"]
        assert factors["n_users"] == (np.diff(hidden.indptr) > 0).sum()


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
    assert values[0, 1] == pytest.approx(1.0)


def test_a_share_that_hides_nothing_is_refused() -> None:
    pairs = pl.DataFrame({"user_id": ["u"], "project_id": ["p"], "confidence": [2.0]})
    with pytest.raises(DataError, match="hides 0 of 1 events"):
        hold_out(build_matrix(pairs), 1e-9, seed=0)
