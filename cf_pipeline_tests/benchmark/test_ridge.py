"""The ridge: a linear map that is fitted on train, chosen on validation, and then a feature set."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.ridge import RidgeEmbeddings, ridge_embeddings, ridge_tables
from cf_pipeline.benchmark.similarity import similarity_tables
from cf_pipeline.errors import DataError
from cf_pipeline.vectors import IndexedVectors
from cf_pipeline.vision.ridge import STRENGTHS, fit_ridge
from cf_pipeline_tests.benchmark.similarity_worlds import clustered_world, rejudged

RNG = np.random.default_rng(0)
TRAIN = (RNG.normal(size=(400, 6)) @ RNG.normal(size=(6, 6)) + 7).astype(np.float32)
OTHERS = (RNG.normal(size=(30, 6)) + 7).astype(np.float32)
CONFIG = BenchmarkConfig(n_resamples=500)
WORLD = clustered_world(n=800)
IMAGENET = WORLD.features["imagenet"]


def test_ridge_recovers_a_linear_map() -> None:
    weights = RNG.normal(size=(6, 3))
    targets = (TRAIN @ weights + np.array([1.0, -2.0, 5.0])).astype(np.float32)
    predicted = fit_ridge(TRAIN, targets).predict(OTHERS, 1e-7)
    exact = (OTHERS - TRAIN.mean(axis=0)) @ weights
    assert predicted == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("n", [400, 4])
def test_ridge_solves_its_normal_equations(n: int) -> None:
    # Also with fewer projects than features, where X'X has no inverse.
    features, targets = TRAIN[:n].astype(float), RNG.normal(size=(n, 3))
    path = fit_ridge(features.astype(np.float32), targets.astype(np.float32))
    x, y = features - features.mean(axis=0), targets - targets.mean(axis=0)
    for strength in (1e-2, 1.0, 100.0):
        penalty = strength * np.trace(x.T @ x) / 6
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(6), x.T @ y)
        expected = (OTHERS - features.mean(axis=0)) @ weights
        assert path.predict(OTHERS, strength) == pytest.approx(expected, abs=1e-3)


def test_strengths_run_from_strong_to_weak() -> None:
    assert list(STRENGTHS) == sorted(STRENGTHS, reverse=True)
    path = fit_ridge(TRAIN, TRAIN[:, :2])
    sizes = [np.abs(path.predict(OTHERS, s)).mean() for s in STRENGTHS]
    assert sizes == sorted(sizes)


@pytest.fixture(scope="module")
def ridge() -> RidgeEmbeddings:
    return ridge_embeddings(WORLD.judged, "imagenet", IMAGENET, CONFIG)


def of_split(split: str) -> list[str]:
    return WORLD.judged.splits.filter(split=split)["project_id"].sort().to_list()


def test_every_cover_has_a_vector_of_the_length_of_factors(ridge: RidgeEmbeddings) -> None:
    table = ridge.table()
    assert table["project_id"].to_list() == list(IMAGENET.ids)
    assert table.schema["features"] == pl.Array(pl.Float32, WORLD.judged.factors.n_dimensions)
    assert np.array_equal(table["features"].to_numpy(), ridge.vectors.vectors)
    assert ridge.strength in STRENGTHS
    assert ridge.n_train == len(of_split("train"))


def test_it_knows_more_than_what_it_is_made_of(ridge: RidgeEmbeddings) -> None:
    features = {**WORLD.features, "imagenet_ridge": ridge.vectors}
    scores = similarity_tables(replace(WORLD, features=features), CONFIG).scores
    value = dict(
        scores.filter(split="test", measure="ndcg_at_10").select("feature_set", "value").iter_rows()
    )
    assert value["imagenet_ridge"] > value["imagenet"]


def test_there_is_a_ridge_of_each_sort_of_features(ridge: RidgeEmbeddings) -> None:
    rows = pl.concat([
        pl.DataFrame({
            "project_id": list(IMAGENET.ids),
            "sha256": [f"hash of {id_}" for id_ in IMAGENET.ids],
            "feature_set": [name] * len(IMAGENET.ids),
            "features": WORLD.features[name].vectors.tolist(),
        })
        for name in ("imagenet", "imagenet_levels")
    ])
    table, facts = ridge_tables(WORLD.judged, rows, CONFIG)
    assert table["feature_set"].unique().sort().to_list() == [
        "imagenet_levels_ridge",
        "imagenet_ridge",
    ]
    of_last = table.filter(feature_set="imagenet_ridge")
    assert np.array_equal(of_last["features"].to_numpy(), ridge.vectors.vectors)
    assert of_last["sha256"].to_list() == [f"hash of {id_}" for id_ in of_last["project_id"]]
    assert facts["imagenet_ridge_strength"] == ridge.strength
    assert facts["train_projects"] == ridge.n_train


def test_the_strength_is_the_best_of_validation(ridge: RidgeEmbeddings) -> None:
    train = of_split("train")
    path = fit_ridge(
        IMAGENET.rows(train) - IMAGENET.rows(train).mean(axis=0), WORLD.judged.factors.rows(train)
    )
    centred = IMAGENET.vectors - IMAGENET.rows(train).mean(axis=0)

    def merit(strength: float) -> float:
        vectors = IndexedVectors(IMAGENET.ids, path.predict(centred, strength))
        world = replace(WORLD, features={**WORLD.features, "imagenet_ridge": vectors})
        scores = similarity_tables(world, BenchmarkConfig(n_resamples=100)).scores
        rows = scores.filter(split="validation", feature_set="imagenet_ridge", measure="ndcg_at_10")
        return float(rows["value"].item())

    best = merit(ridge.strength)
    assert all(merit(strength) <= best for strength in STRENGTHS[::3])


def test_held_out_factors_and_a_constant_touch_nothing(ridge: RidgeEmbeddings) -> None:
    # Factors of validation and test may be anything, and the mean of features is train's affair.
    held = np.array([id_ not in set(of_split("train")) for id_ in WORLD.judged.factors.ids])
    noise = 1000 * np.random.default_rng(0).normal(size=WORLD.judged.factors.vectors.shape)
    factors = np.where(held[:, np.newaxis], noise, WORLD.judged.factors.vectors)
    world = rejudged(
        WORLD, factors=IndexedVectors(WORLD.judged.factors.ids, factors.astype(np.float32))
    )
    again = ridge_embeddings(world.judged, "imagenet", IMAGENET, CONFIG)
    assert np.array_equal(again.vectors.vectors, ridge.vectors.vectors)
    moved = IndexedVectors(IMAGENET.ids, IMAGENET.vectors + 100)
    again = ridge_embeddings(WORLD.judged, "imagenet", moved, CONFIG)
    assert again.strength == ridge.strength
    assert again.vectors.vectors == pytest.approx(ridge.vectors.vectors, abs=1e-3)


def test_the_form_of_the_features_is_that_of_the_scoreboard(ridge: RidgeEmbeddings) -> None:
    config = BenchmarkConfig(imagenet_form="whitened")
    whitened = ridge_embeddings(WORLD.judged, "imagenet", IMAGENET, config)
    assert not np.allclose(whitened.vectors.vectors, ridge.vectors.vectors, atol=1e-3)


def test_progress_ends_at_its_total_and_a_missing_vector_is_named() -> None:
    heard: list[tuple[int, int]] = []
    ridge_embeddings(
        WORLD.judged, "imagenet", IMAGENET, CONFIG, lambda done, n, _: heard.append((done, n))
    )
    assert heard[-1][0] == heard[-1][1] > 0
    kept = [id_ for id_ in IMAGENET.ids if id_ != of_split("train")[0]]
    short = IndexedVectors(tuple(kept), IMAGENET.rows(kept))
    with pytest.raises(DataError, match="have no vector"):
        ridge_embeddings(WORLD.judged, "imagenet", short, CONFIG)
