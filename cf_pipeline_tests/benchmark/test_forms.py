"""Which form of our features is handed out, and how popularity shows in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.forms import FORMS, form
from cf_pipeline.benchmark.leaks import popularity_leaks
from cf_pipeline.benchmark.pool import Pool, build_pool
from cf_pipeline.benchmark.similarity import similarity_tables
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.vectors import Matrix
from cf_pipeline_tests.benchmark.similarity_worlds import clustered_world

CONFIG = BenchmarkConfig(n_triplets=4, n_resamples=100)


def test_the_best_form_on_validation_is_exported() -> None:
    world = clustered_world(planted=1.0)
    tables = similarity_tables(world, CONFIG)
    assert tables.forms["form"].to_list() == [each.name for each in FORMS]
    best = tables.forms.filter("exported")
    assert best["value"].item() == tables.forms["value"].max()
    # The scoreboard says the same of what it shows, too.
    shown = tables.scores.filter(split="validation", measure="ndcg_at_10")
    alone = dict(shown.select("feature_set", "value").iter_rows())
    said = dict(tables.forms.select("form", "value").iter_rows())
    assert said["predicted_factors"] == pytest.approx(alone["predicted_factors"])
    assert said[f"{tables.chosen} beside imagenet"] == pytest.approx(alone["ensemble"])


def test_what_was_known_before_is_exported_beside_a_network_that_learned_half() -> None:
    world = clustered_world(planted=0.15)
    ridge = world.features["imagenet_ridge"]
    tables = similarity_tables(
        replace(world, features={**world.features, "imagenet": ridge}), CONFIG
    )
    assert tables.forms.filter("exported")["form"].item().endswith("beside imagenet")


def test_a_form_beside_another_has_the_mean_of_their_cosines() -> None:
    rng = np.random.default_rng(0)
    vectors = {n: rng.normal(size=(6, 3)).astype(np.float32) for n in ("collaborative", "imagenet")}
    beside = form("collaborative beside imagenet").of(vectors)

    def cosines(matrix: Matrix) -> np.ndarray:
        unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        return unit @ unit.T

    expected = (cosines(vectors["collaborative"]) + cosines(vectors["imagenet"])) / 2
    assert cosines(beside) == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def pool() -> Pool:
    judged = clustered_world(n=150).judged
    return build_pool(
        build_truth(judged.events), judged.catalog(), "test", judged.pool_rules(CONFIG)
    )


def occurrences(pool: Pool, vectors: Matrix) -> list[int]:
    """How often each is among ten nearest, project by project."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = np.round(unit @ unit.T, 6)
    everyone = np.arange(len(unit))
    comparable = pool.comparable(everyone, everyone)
    counts = [0] * len(unit)
    for query in everyone:
        others = sorted(np.flatnonzero(comparable[query]), key=lambda i: -cosines[query, i])
        for near in others[:10]:
            counts[near] += 1
    return counts


def test_correlations_equal_their_slow_twin(pool: Pool) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(len(pool.project_ids), 5)).astype(np.float32)
    table = popularity_leaks(pool, {"predicted_factors": vectors})
    found = dict(table.select("quantity", "correlation").iter_rows())
    norms = np.round(np.linalg.norm(vectors, axis=1).astype(np.float64), 6)
    assert found["norm"] == pytest.approx(stats.spearmanr(norms, pool.popularity).statistic)
    expected = stats.spearmanr(occurrences(pool, vectors), pool.popularity).statistic
    assert found["occurrence"] == pytest.approx(expected)
    assert table["n_projects"].to_list() == [len(pool.project_ids)] * 2


def test_popularity_in_a_vector_is_seen(pool: Pool) -> None:
    rng = np.random.default_rng(2)
    direction = rng.normal(size=(len(pool.project_ids), 5))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    popular = pool.popularity / pool.popularity.max()
    common = np.ones(5) / 5**0.5
    leaking = {
        "predicted_factors": (1 + popular[:, np.newaxis]) * direction,
        "collaborative": direction + 2 * popular[:, np.newaxis] * common,
        "latent_factors": direction,
    }
    table = popularity_leaks(pool, {n: v.astype(np.float32) for n, v in leaking.items()})
    of = {(r["feature_set"], r["quantity"]): r["correlation"] for r in table.to_dicts()}
    assert of["predicted_factors", "norm"] > 0.9
    assert of["collaborative", "occurrence"] > 0.5
    assert of["latent_factors", "norm"] is None
    assert abs(of["latent_factors", "occurrence"]) < 0.3


def test_leaks_are_told_for_both_splits() -> None:
    tables = similarity_tables(clustered_world(n=150), CONFIG)
    assert set(tables.leaks["split"]) == {"validation", "test"}
    assert isinstance(tables.leaks, pl.DataFrame)
    assert set(tables.leaks["feature_set"]) >= {"imagenet", "predicted_factors", "latent_factors"}
