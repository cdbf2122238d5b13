"""nDCG of validation covers in small: against a slow twin, and against the judge itself."""

import itertools
import math

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.choices import ChoiceMeasures
from cf_pipeline.benchmark.pool import PoolRules, find_pool
from cf_pipeline.benchmark.queries import score_features
from cf_pipeline.benchmark.relevances import BOUNDS, validation_relevances
from cf_pipeline.benchmark.scorers import CosineScorer
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.errors import DataError
from cf_pipeline.vision.relevance import Relevances
from cf_pipeline_tests.benchmark.similarity_worlds import clustered_world, rejudged

IDS = [f"p{row}" for row in range(14)]
RNG = np.random.default_rng(0)
PAIRS = pl.DataFrame([
    {"query_id": a, "candidate_id": b, "relevance": max(0.0, float(RNG.normal()))}
    for a, b in itertools.permutations(IDS, 2)
    if a < "p5" and RNG.random() < 0.9
])


def slow_ndcg(vectors):
    found = []
    for query in PAIRS["query_id"].unique():
        of_query = PAIRS.filter(query_id=query)
        gains = dict(of_query.select("candidate_id", "relevance").iter_rows())
        if max(gains.values()) == 0:
            continue
        anchor = vectors[IDS.index(query)]

        def nearness(name, anchor=anchor):
            other = vectors[IDS.index(name)]
            return other @ anchor / np.linalg.norm(other) / np.linalg.norm(anchor)

        ranked = sorted(gains, key=nearness, reverse=True)[:10]
        best = sorted(gains.values(), reverse=True)[:10]
        discount = [1 / math.log2(rank + 2) for rank in range(10)]
        dcg = sum(gains[name] * d for name, d in zip(ranked, discount, strict=False))
        found.append(dcg / sum(gain * d for gain, d in zip(best, discount, strict=False)))
    return np.mean(found)


def test_it_equals_its_slow_twin():
    vectors = RNG.normal(size=(14, 5)).astype(np.float32)
    relevances = Relevances.of(PAIRS.sample(fraction=1, shuffle=True, seed=1), IDS)
    assert relevances.ndcg(vectors) == pytest.approx(slow_ndcg(vectors), abs=1e-6)


def test_nothing_to_find_is_no_number():
    nothing = PAIRS.with_columns(relevance=pl.lit(0.0))
    assert math.isnan(Relevances.of(nothing, IDS).ndcg(np.eye(14, dtype=np.float32)))
    assert math.isnan(Relevances.of(PAIRS.clear(), IDS).ndcg(np.eye(14, dtype=np.float32)))


def test_a_project_without_a_cover_here_is_named():
    with pytest.raises(DataError, match=r"1 projects that are not in validation.*'p13'"):
        Relevances.of(PAIRS, IDS[:-1])


@pytest.mark.parametrize("strata", [0, 2])
def test_training_is_judged_as_the_scoreboard_judges(strata):
    world = clustered_world(strata=strata, n=300)
    pairs = validation_relevances(world.judged)
    splits = dict(world.judged.splits.iter_rows())
    assert {splits[id_] for id_ in {*pairs["query_id"], *pairs["candidate_id"]}} == {"validation"}
    pool = find_pool(
        build_truth(world.judged.events), world.judged.catalog(), "validation", PoolRules()
    )
    measure = ChoiceMeasures.of(pool).first
    assert measure == "ndcg_at_10" + ("_within_stratum" if strata else "")
    relevances = Relevances.of(pairs, pool.project_ids)
    for name in ("imagenet", "predicted_factors"):
        vectors = world.features[name].rows(pool.project_ids)
        scorers = {name: CosineScorer.of(vectors)}
        judged = score_features(pool, scorers, (measure,), n_triplets=5, seed=0)
        assert relevances.ndcg(vectors) == pytest.approx(judged.mean(name, measure), abs=1e-4)


def test_a_large_pool_is_bounded_and_an_empty_one_has_no_rows(monkeypatch):
    world = clustered_world(n=300)
    small = PoolRules(max_queries=7, max_candidates=30)
    monkeypatch.setattr("cf_pipeline.benchmark.relevances.BOUNDS", small)
    pairs = validation_relevances(world.judged)
    assert 0 < pairs["query_id"].n_unique() <= 7
    assert pairs["candidate_id"].n_unique() <= 30
    assert (BOUNDS.max_queries, BOUNDS.max_candidates) == (500, 1_000)
    nobody = world.judged.splits.with_columns(split=pl.lit("train"))
    empty = validation_relevances(rejudged(world, splits=nobody).judged)
    assert empty.schema == pairs.schema
    assert empty.is_empty()


def test_the_nearest_of_a_few_queries_are_those_that_are_ranked_first():
    vectors = RNG.normal(size=(14, 5)).astype(np.float32)
    relevances = Relevances.of(PAIRS, IDS)
    rows = relevances.nearest(vectors, n_queries=2, k=3)
    assert len(rows) == 2
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for query, *nearest in rows:
        asked = PAIRS.filter(query_id=IDS[query])["candidate_id"]
        others = [IDS.index(name) for name in asked]
        expected = sorted(others, key=lambda row, query=query: -(unit[row] @ unit[query]))[:3]
        assert nearest == expected
    assert len(relevances.nearest(vectors, n_queries=99, k=3)) == len(relevances.queries)
