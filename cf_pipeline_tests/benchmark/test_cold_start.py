"""Held-out projects ranked for users: against a slow twin, and in a world that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.cold_start import (
    NEIGHBOURS,
    ColdStart,
    _cold_start,
    _measured,
    _neighbours,
    cold_start_table,
)
from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.inputs import ColdStartInputs, train_ids
from cf_pipeline.benchmark.pool import build_pool
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.errors import DataError
from cf_pipeline.vectors import IndexedVectors
from cf_pipeline_tests.benchmark.similarity_worlds import clustered_world

CONFIG = BenchmarkConfig(n_triplets=4, n_resamples=100)


@pytest.fixture(scope="module")
def inputs() -> ColdStartInputs:
    """Users have the mean of what they came for; `predicted_factors` know the cluster."""
    world = clustered_world(n=600)
    judged = world.judged
    factors = judged.factors
    train = set(judged.splits.filter(split="train")["project_id"])
    mean = factors.rows([i for i in factors.ids if i in train]).mean(axis=0)
    known = judged.events.filter(pl.col("project_id").is_in(train))
    users, places = [], []
    for (user,), rows in known.group_by("user_id", maintain_order=True):
        users.append(user)
        places.append((factors.rows(rows["project_id"].to_list()) - mean).mean(axis=0))
    names = ("imagenet", "imagenet_ridge", "imagenet_levels_ridge", "predicted_factors")
    return ColdStartInputs(
        judged,
        IndexedVectors(tuple(users), np.array(places, dtype=np.float32)),
        {name: world.features[name] for name in names},
    )


def slow_measures(half: ColdStart, scores: np.ndarray) -> list[tuple[float, float]]:
    found = []
    for user in range(len(half.user_ids)):
        came = half.came[user].toarray()[0] > 0
        mine, others = scores[user][came], scores[user][~came]
        won = [(a > b) + 0.5 * (a == b) for a in mine for b in others]
        first = sorted(range(len(came)), key=lambda i, user=user: -scores[user][i])[:100]
        found.append((np.mean(won), came[first].sum() / came.sum()))
    return found


def half_of(
    inputs: ColdStartInputs, split: str = "test", config: BenchmarkConfig = CONFIG
) -> ColdStart:
    judged = inputs.judged
    catalog = judged.catalog()
    pool = build_pool(build_truth(judged.events), catalog, split, judged.pool_rules(config))
    return _cold_start(inputs, pool, train_ids(catalog), config)


def test_auc_and_recall_equal_their_slow_twins(inputs: ColdStartInputs) -> None:
    half = half_of(inputs)
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=half.came.shape), 6)
    found = _measured(half, lambda rows: scores[rows], seed=0)
    assert found == pytest.approx(np.array(slow_measures(half, scores)))
    # All alike: every pair is a tie.
    alike = _measured(half, lambda rows: np.zeros((len(rows), half.came.shape[1])), seed=0)
    assert alike[:, 0] == pytest.approx(0.5)


def test_neighbours_equal_their_slow_twin(inputs: ColdStartInputs) -> None:
    half, k = half_of(inputs), 7
    known = train_ids(inputs.judged.catalog())
    vectors = inputs.features["imagenet"]
    rows = np.arange(20)
    found = _neighbours(half, vectors, known, k)(rows)

    def unit(ids: tuple[str, ...]) -> np.ndarray:
        given = vectors.rows(ids)
        return given / np.linalg.norm(given, axis=1, keepdims=True)

    cosines = unit(half.project_ids) @ unit(known).T
    knew = half.knew.toarray() > 0
    for user in rows:
        for candidate in range(0, len(half.project_ids), 17):
            nearest = np.argsort(-cosines[candidate])[:k]
            expected = sum(cosines[candidate][j] for j in nearest if knew[user][j])
            assert found[user, candidate] == pytest.approx(expected, abs=1e-4)


def test_what_a_cover_says_lies_between_chance_and_what_behaviour_says(
    inputs: ColdStartInputs,
) -> None:
    table, k = cold_start_table(inputs, CONFIG)
    assert k in NEIGHBOURS
    test = table.filter(split="test", metric="auc")
    auc = dict(test.select("feature_set", "value").iter_rows())
    assert auc["chance"] == 0.5
    assert auc["chance"] < auc["imagenet"] < auc["predicted_factors"] < auc["latent_factors"]
    assert set(auc) == {
        "chance", "popularity", "imagenet", "imagenet_ridge", "imagenet_levels_ridge",
        "predicted_factors", "latent_factors",
    }  # fmt: skip
    assert (table["low"] <= table["value"]).all()
    assert (table["n_users"] > 100).all()
    again, _ = cold_start_table(inputs, CONFIG)
    assert again.equals(table)


def test_only_train_projects_say_what_a_user_knew(inputs: ColdStartInputs) -> None:
    half = half_of(inputs)
    held_out = set(half.project_ids)
    known = train_ids(inputs.judged.catalog())
    assert not held_out & set(known)
    assert half.knew.shape == (len(half.user_ids), len(known))
    bounded = CONFIG.model_copy(update={"max_queries": 9})
    assert len(half_of(inputs, config=bounded).user_ids) == 9


def test_nobody_to_ask_is_told(inputs: ColdStartInputs) -> None:
    strangers = IndexedVectors(("x",), np.ones((1, inputs.users.n_dimensions), dtype=np.float32))
    with pytest.raises(DataError, match=r"nobody who has a latent factor came for .* validation"):
        cold_start_table(replace(inputs, users=strangers), CONFIG)
