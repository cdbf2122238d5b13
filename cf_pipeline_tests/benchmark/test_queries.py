"""Measures query by query: slow twins, blocks, and rows that must know nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from cf_pipeline.benchmark.pool import Pool, PoolRules, build_catalog, build_pool
from cf_pipeline.benchmark.queries import QueryValues, measures_of, score_features
from cf_pipeline.benchmark.scorers import CosineScorer, PopularityScorer, SharedScorer
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.errors import ConfigError
from cf_pipeline.metrics.intervals import paired_group_bootstrap
from cf_pipeline.metrics.similarity import popularity_bins, relevance
from cf_pipeline_tests.benchmark.similarity_worlds import clustered_world

ANYBODY = PoolRules()
ALL = (
    "triplet_accuracy",
    "ndcg_at_10",
    "triplet_accuracy_within_stratum",
    "ndcg_at_10_within_stratum",
    "same_field_at_10",
)


def world_pool(
    seed: int = 0, strata: int = 3, drop: tuple[str, ...] = (), rules: PoolRules = ANYBODY
) -> Pool:
    world = clustered_world(seed=seed, strata=strata).judged
    factor_ids = [id_ for id_ in world.factors.ids if id_ not in drop]
    catalog = build_catalog(world.projects, world.covers, world.splits, factor_ids)
    return build_pool(build_truth(world.events), catalog, "test", rules)


def scorers_of(pool: Pool, seed: int = 0) -> dict:
    world = clustered_world(seed=seed)
    return {
        "chance": PopularityScorer(pool.popularity * 0),
        "popularity": PopularityScorer(pool.popularity),
        "owner": SharedScorer(pool.owners),
        "random": CosineScorer.of(world.features["random"].rows(pool.project_ids)),
        "planted": CosineScorer.of(world.features["collaborative"].rows(pool.project_ids) - 3.0),
    }


def scored(pool: Pool, measures: tuple[str, ...] = ALL, **arguments: int) -> QueryValues:
    settings = {"n_triplets": 20, "seed": 0, **arguments}
    return score_features(pool, scorers_of(pool), measures, **settings)


POOL = world_pool()
VALUES = scored(POOL)


def slow_ndcg(pool: Pool, features: np.ndarray, *, within_stratum: bool) -> np.ndarray:
    """The protocol in loops; features without ties."""
    n = len(pool.project_ids)
    rel = relevance(pool.engagement, pool.engagement)
    thirds = popularity_bins(pool.popularity, 3)
    owners = [set(row.indices.tolist()) for row in pool.owners]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    values = np.full(n, math.nan)
    for q in range(n):
        candidates = [
            c
            for c in range(n)
            if pool.look_components[c] != pool.look_components[q]
            and not owners[c] & owners[q]
            and thirds[c] == thirds[q]
            and (not within_stratum or pool.strata[c] == pool.strata[q])
        ]
        ranked = sorted(candidates, key=lambda c: -float(unit[q] @ unit[c]))[:10]
        best = sorted((rel[q, c] for c in candidates), reverse=True)[:10]
        ideal = sum(g / math.log2(r + 2) for r, g in enumerate(best))
        if ideal > 0:
            values[q] = sum(rel[q, c] / math.log2(r + 2) for r, c in enumerate(ranked)) / ideal
    return values


@pytest.mark.parametrize("suffix", ["", "_within_stratum"])
def test_ndcg_equals_its_slow_twin(suffix: str) -> None:
    features = clustered_world().features["random"].rows(POOL.project_ids)
    slow = slow_ndcg(POOL, features, within_stratum=bool(suffix))
    fast = VALUES.values[f"ndcg_at_10{suffix}"][:, 3]
    assert fast == pytest.approx(slow, nan_ok=True)
    assert 20 < (~np.isnan(fast)).sum() <= len(fast)


def test_same_field_equals_its_slow_twin() -> None:
    features = clustered_world().features["random"].rows(POOL.project_ids).astype(float)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    everyone = np.arange(len(unit))
    allowed = POOL.comparable(everyone, everyone)
    for q in (0, 7, 30):
        ranked = sorted(np.flatnonzero(allowed[q]), key=lambda c: -float(unit[q] @ unit[c]))[:10]
        share = np.mean([POOL.fields[c] == POOL.fields[q] for c in ranked])
        assert VALUES.values["same_field_at_10"][q, 3] == pytest.approx(share)


@pytest.mark.parametrize("measure", ALL)
def test_values_lie_in_range_and_leave_out_the_same_queries(measure: str) -> None:
    columns = VALUES.values[measure]
    missing = np.isnan(columns)
    assert (missing.any(axis=1) == missing.all(axis=1)).all()
    assert ((columns[~missing] >= 0) & (columns[~missing] <= 1 + 1e-12)).all()


@pytest.mark.parametrize("measure", ALL[:2])
def test_the_planted_structure_is_found(measure: str) -> None:
    interval = paired_group_bootstrap(*VALUES.values[measure][:, [4, 0]].T, VALUES.groups, 500, 0)
    assert interval.low > 0.25


@pytest.mark.parametrize("measure", ALL[:4])
@pytest.mark.parametrize("name", ["random", "popularity"])
def test_what_knows_nothing_stands_at_chance(name: str, measure: str) -> None:
    # Eight 95 % intervals share one world, so one of them may miss zero: twice their width.
    column = VALUES.feature_sets.index(name)
    pair = VALUES.values[measure][:, [column, 0]].T
    interval = paired_group_bootstrap(*pair, VALUES.groups, 500, 0)
    assert abs(interval.value) < interval.high - interval.low


def test_a_shared_owner_is_exactly_chance() -> None:
    columns = VALUES.values["triplet_accuracy"]
    assert set(columns[~np.isnan(columns[:, 2]), 2].tolist()) == {0.5}
    assert set(columns[~np.isnan(columns[:, 0]), 0].tolist()) == {0.5}
    ndcg = VALUES.values["ndcg_at_10"]
    assert ndcg[:, 2] == pytest.approx(ndcg[:, 0], nan_ok=True)


def test_without_the_owner_rule_a_shared_owner_would_look_good() -> None:
    # Owners fill their own boards: positives would mostly be theirs. This is what the rule holds.
    owners = _one_owner_per(POOL.fields)
    scorers = {"owner": SharedScorer(owners)}

    def found(pool: Pool) -> float:
        values = score_features(pool, scorers, ("triplet_accuracy",), n_triplets=20, seed=0)
        return values.mean("owner", "triplet_accuracy")

    assert found(replace(POOL, owners=owners[:, :0])) > 0.7
    assert found(replace(POOL, owners=owners)) == 0.5


def _one_owner_per(codes: np.ndarray) -> sparse.csr_matrix:
    return sparse.csr_matrix(np.eye(int(codes.max()) + 1, dtype=np.int32)[codes])


def test_small_blocks_give_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cf_pipeline.benchmark.queries._BLOCK_CELLS", 300)
    monkeypatch.setattr("cf_pipeline.benchmark.queries._TRIPLET_ANCHORS", 3)
    again = scored(POOL)
    for measure in ALL:
        # Sums of another order differ in the last bit.
        assert again.values[measure] == pytest.approx(
            VALUES.values[measure], rel=1e-12, nan_ok=True
        )


def test_another_seed_draws_other_triplets_and_ties() -> None:
    other = scored(POOL, seed=1)
    for measure, name in (("triplet_accuracy", "random"), ("ndcg_at_10", "chance")):
        column = VALUES.feature_sets.index(name)
        assert not np.array_equal(
            other.values[measure][:, column], VALUES.values[measure][:, column], equal_nan=True
        )


def test_another_project_leaves_most_draws_as_they_were() -> None:
    dropped = POOL.project_ids[11]
    fewer = world_pool(drop=(dropped,))
    assert len(fewer.project_ids) == len(POOL.project_ids) - 1
    rest = [i for i, id_ in enumerate(POOL.project_ids) if id_ != dropped]
    chance = VALUES.feature_sets.index("chance")
    before = VALUES.values["ndcg_at_10"][rest, chance]
    after = scored(fewer).values["ndcg_at_10"][:, chance]
    # Random rankings keep their order: only who had the project among ten or ideal ten changes,
    # and who changes third.
    assert np.isclose(before, after, equal_nan=True).mean() > 0.6


def test_unknown_strata_and_fields_take_no_part() -> None:
    strata = np.where(np.arange(len(POOL.strata)) % 2, POOL.strata, -1)
    values = scored(replace(POOL, strata=strata, fields=strata))
    for measure in ("triplet_accuracy_within_stratum", "same_field_at_10"):
        assert np.isnan(values.values[measure][strata < 0]).all()
        assert (~np.isnan(values.values[measure][strata >= 0])).any()


def test_measures_follow_the_labels_of_the_pool() -> None:
    assert set(measures_of(POOL)) == set(ALL)
    nobody = np.full(len(POOL.strata), -1)
    assert measures_of(replace(POOL, strata=nobody, fields=nobody)) == ALL[:2]


def test_progress_adds_up_to_queries_times_measures() -> None:
    heard: list[int] = []
    strata = np.where(np.arange(len(POOL.strata)) % 2, POOL.strata, -1)
    pool = replace(POOL, strata=strata)
    score_features(pool, scorers_of(pool), ALL, n_triplets=5, seed=0, on_queries=heard.append)
    assert sum(heard) == len(ALL) * len(pool.project_ids)


def test_what_is_not_queried_is_a_candidate_all_the_same() -> None:
    rules = PoolRules(max_queries=30)
    fewer = world_pool(rules=rules)
    heard: list[int] = []
    values = score_features(
        fewer, scorers_of(fewer), ALL, n_triplets=20, seed=0, on_queries=heard.append
    )
    assert sum(heard) == len(ALL) * 30
    assert values.project_ids == tuple(POOL.project_ids[row] for row in fewer.queries)
    assert values.groups.tolist() == POOL.groups[fewer.queries].tolist()
    for measure in ALL:
        # The same value as where everybody is asked: against the same candidates.
        assert values.values[measure] == pytest.approx(
            VALUES.values[measure][fewer.queries], rel=1e-12, nan_ok=True
        )


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(ConfigError, match="'recall_at_20'"):
        scored(POOL, measures=("recall_at_20",))


def test_equal_vectors_tie_exactly() -> None:
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(40, 300)), 2, axis=0).astype(np.float32)
    scorer = CosineScorer.of(vectors)
    block = scorer.block(np.arange(80), np.arange(80))
    assert np.array_equal(block[:, ::2], block[:, 1::2])
    # However a product is summed up, beyond this there is nothing left to differ.
    assert np.array_equal(block, np.round(block, 6))
    pairs = scorer.pairs(np.arange(80), np.tile(np.arange(80), (80, 1)))
    assert np.array_equal(pairs[:, ::2], pairs[:, 1::2])
    assert np.array_equal(pairs, np.round(pairs, 6))
    assert np.abs(pairs - block).max() <= 2e-6
