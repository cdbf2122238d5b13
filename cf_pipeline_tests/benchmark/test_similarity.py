"""The whole protocol on a planted world, from tables to tables."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.inputs import SimilarityInputs
from cf_pipeline.benchmark.similarity import SimilarityTables, similarity_tables
from cf_pipeline.errors import DataError
from cf_pipeline.vectors import IndexedVectors
from cf_pipeline_tests.benchmark.similarity_worlds import clustered_world, rejudged

CONFIG = BenchmarkConfig(n_resamples=500)
ROWS = {
    "chance",
    "popularity",
    "random",
    "color",
    "imagenet",
    "imagenet_ridge",
    "imagenet_levels",
    "imagenet_levels_ridge",
    "collaborative",
    "predicted_factors",
    "ensemble",
    "latent_factors",
}


@pytest.fixture(scope="module")
def world() -> SimilarityInputs:
    return clustered_world(strata=2)


@pytest.fixture(scope="module")
def tables(world: SimilarityInputs) -> SimilarityTables:
    return similarity_tables(world, CONFIG)


def value(tables: SimilarityTables, name: str, measure: str, split: str = "test") -> float:
    rows = tables.scores.filter(
        (pl.col("feature_set") == name)
        & (pl.col("measure") == measure)
        & (pl.col("split") == split)
    )
    return float(rows["value"].item())


def difference(tables: SimilarityTables, name: str, reference: str, measure: str) -> dict:
    return tables.differences.row(
        by_predicate=(pl.col("feature_set") == name)
        & (pl.col("reference") == reference)
        & (pl.col("measure") == measure)
        & (pl.col("split") == "test"),
        named=True,
    )


def test_every_row_of_the_protocol_is_there(tables: SimilarityTables) -> None:
    assert set(tables.scores["feature_set"]) == ROWS
    assert set(tables.scores["split"]) == {"validation", "test"}
    assert tables.scores.height == 2 * 12 * 5
    assert set(tables.differences["reference"]) == {
        "imagenet",
        "imagenet_ridge",
        "imagenet_levels",
        "imagenet_levels_ridge",
        "color",
        "random",
        "chance",
    }
    # Twelve rows against seven references, less seven that would meet themselves.
    assert tables.differences.height == 2 * 5 * (12 * 7 - 7)
    assert tables.scores.null_count().sum_horizontal().item() == 0


@pytest.mark.parametrize("measure", ["triplet_accuracy", "ndcg_at_10"])
def test_planted_knowledge_shows_in_its_order(tables: SimilarityTables, measure: str) -> None:
    assert difference(tables, "latent_factors", "random", measure)["low"] > 0
    assert difference(tables, "collaborative", "imagenet", measure)["low"] > 0
    assert difference(tables, "imagenet_ridge", "random", measure)["low"] > 0


def test_chance_knows_nothing(tables: SimilarityTables) -> None:
    assert value(tables, "chance", "triplet_accuracy") == 0.5


def test_split_groups_are_a_row_where_nobody_is_an_owner(world: SimilarityInputs) -> None:
    # Groups that audiences follow: what the control is there to find.
    projects = world.judged.projects.with_columns(
        owners=pl.lit(None, pl.List(pl.String)), split_group="field"
    )
    grouped = similarity_tables(rejudged(world, projects=projects), CONFIG)
    assert grouped.scores["feature_set"].unique().sort().to_list() == sorted(ROWS | {"split_group"})
    assert difference(grouped, "split_group", "chance", "triplet_accuracy")["low"] > 0.2


def test_queries_are_told_one_by_one(tables: SimilarityTables) -> None:
    means = tables.queries.group_by("split", "feature_set", "measure").agg(
        pl.col("value").mean(), n=pl.len(), groups=pl.col("bootstrap_group").n_unique()
    )
    both = tables.scores.join(means, on=["split", "feature_set", "measure"])
    assert both.height == tables.scores.height
    assert both["value"].to_list() == pytest.approx(both["value_right"].to_list())
    assert both["n_queries"].to_list() == both["n"].to_list()
    assert both["n_groups"].to_list() == both["groups"].to_list()


def test_pools_are_bounded_by_the_configuration(world: SimilarityInputs) -> None:
    few = similarity_tables(world, BenchmarkConfig(n_resamples=100, max_queries=25))
    assert few.queries.group_by("split", "measure", "feature_set").len()["len"].max() <= 25
    counts = {(s, c): n for s, c, n in few.pools.rows()}
    asked = [counts["test", f"queries{left} of ndcg_at_10"] for left in ("", " left out")]
    assert sum(asked) == 25


def test_the_chosen_layer_is_that_of_validation_and_marked(tables: SimilarityTables) -> None:
    layers = ("collaborative", "predicted_factors")
    best = max(
        layers, key=lambda n: value(tables, n, "ndcg_at_10_within_stratum", split="validation")
    )
    assert tables.chosen == best == "collaborative"
    assert set(tables.scores.filter("chosen")["feature_set"]) == {best}
    assert tables.scores.filter("chosen").height == 10


def test_features_are_centred_on_train(world: SimilarityInputs, tables: SimilarityTables) -> None:
    # A constant added to every vector is the mean's affair; without centring cosines drown in it.
    moved = {
        name: IndexedVectors(f.ids, f.vectors + 5000)
        if name in {"collaborative", "imagenet"}
        else f
        for name, f in world.features.items()
    }
    again = similarity_tables(replace(world, features=moved), CONFIG)
    for name in ("collaborative", "imagenet"):
        assert value(again, name, "ndcg_at_10") == pytest.approx(
            value(tables, name, "ndcg_at_10"), abs=0.01
        )


def test_held_out_projects_do_not_touch_what_is_fitted(world: SimilarityInputs) -> None:
    # Test factors may be anything: the means come from train alone.
    factors = world.judged.factors
    test_ids = set(world.judged.splits.filter(pl.col("split") == "test")["project_id"])
    held = np.array([id_ in test_ids for id_ in factors.ids])
    noise = np.random.default_rng(0).normal(size=factors.vectors.shape).astype(np.float32)
    changed = np.where(held[:, np.newaxis], 1000 * noise, factors.vectors)
    before = similarity_tables(world, CONFIG).scores
    after = similarity_tables(
        rejudged(world, factors=IndexedVectors(factors.ids, changed)), CONFIG
    ).scores
    same = (pl.col("feature_set") != "latent_factors") | (pl.col("split") == "validation")
    assert after.filter(same).equals(before.filter(same))
    assert not after.equals(before)


def test_the_same_inputs_give_the_same_tables(
    world: SimilarityInputs, tables: SimilarityTables
) -> None:
    shuffled = rejudged(
        world,
        **{
            name: getattr(world.judged, name).sample(fraction=1, shuffle=True, seed=seed)
            for seed, name in enumerate(("projects", "covers", "splits", "events"))
        },
    )
    again = similarity_tables(shuffled, CONFIG)
    assert again.scores.equals(tables.scores)
    assert again.differences.equals(tables.differences)
    assert again.queries.equals(tables.queries)


def test_pools_are_accounted_for(world: SimilarityInputs, tables: SimilarityTables) -> None:
    counts = {(s, c): n for s, c, n in tables.pools.rows()}
    n_test = world.judged.splits.filter(pl.col("split") == "test").height
    assert counts["test", "projects"] == n_test
    assert (
        counts["test", "queries of ndcg_at_10"] + counts["test", "queries left out of ndcg_at_10"]
        == counts["test", "pool"]
    )
    scored = tables.scores.filter((pl.col("split") == "test") & (pl.col("measure") == "ndcg_at_10"))
    assert scored["n_queries"].unique().to_list() == [counts["test", "queries of ndcg_at_10"]]
    assert tables.n_train == world.judged.splits.filter(pl.col("split") == "train").height


def test_progress_ends_at_its_total(world: SimilarityInputs) -> None:
    heard: list[tuple[int, int]] = []
    similarity_tables(world, CONFIG, lambda done, total, _: heard.append((done, total)))
    assert heard[-1][0] == heard[-1][1]
    assert all(a[0] <= b[0] and a[1] == b[1] for a, b in pairwise(heard))


@pytest.mark.parametrize("name", ["user:mine", "my_lab.features:Gist"])
def test_further_feature_sets_are_scored_as_they_are(world: SimilarityInputs, name: str) -> None:
    features = {**world.features, name: world.features["predicted_factors"]}
    more = similarity_tables(replace(world, features=features), CONFIG)
    assert value(more, name, "ndcg_at_10") == value(more, "predicted_factors", "ndcg_at_10")
    assert difference(more, "collaborative", name, "ndcg_at_10")["low"] is not None
    rows = more.scores.filter(split="test", measure="ndcg_at_10")["feature_set"].to_list()
    assert rows[rows.index(name) - 1 : rows.index(name) + 2] == [
        "imagenet_levels_ridge",
        name,
        "collaborative",
    ]


def test_a_missing_feature_set_or_vector_is_named(world: SimilarityInputs) -> None:
    fewer = {name: f for name, f in world.features.items() if name != "color"}
    with pytest.raises(DataError, match=r"\['color'\] are missing"):
        replace(world, features=fewer)
    short = IndexedVectors(world.judged.factors.ids[1:], world.features["imagenet"].vectors[1:])
    with pytest.raises(DataError, match="have no vector"):
        similarity_tables(replace(world, features={**world.features, "imagenet": short}), CONFIG)


def test_without_train_projects_nothing_can_be_centred(world: SimilarityInputs) -> None:
    splits = world.judged.splits.with_columns(
        split=pl.when(pl.col("split") == "train").then(pl.lit("test")).otherwise("split")
    )
    with pytest.raises(DataError, match="there are none"):
        similarity_tables(rejudged(world, splits=splits), CONFIG)
