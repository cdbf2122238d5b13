"""Who is in a pool, why the others are not, and who may be compared with whom."""

import logging

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.pool import Pool, PoolRules, build_catalog, build_pool
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.errors import DataError
from cf_pipeline_tests.benchmark.similarity_worlds import (
    clustered_world,
    covers_frame,
    projects_frame,
)

IDS = ["a", "b", "c", "d", "e", "f", "g"]


def pool_of(rules: PoolRules = PoolRules(), **changes: object) -> Pool:  # noqa: B008
    """g trains; f has no factors, e no readable cover; b and c share a look group."""
    covers = covers_frame(IDS, look_group=["a", "bc", "bc", "d", "e", "f", "g"],
                          look_component=["a", "bcd", "bcd", "bcd", "e", "f", "g"],
                          status=["ok", "ok", "ok", "ok", "broken", "ok", "ok"])  # fmt: skip
    rows = [(u, p) for p, users in
            {"a": "uvw", "b": "uv", "c": "uvw", "d": "u", "e": "u", "f": "u", "g": "uvwx"}.items()
            for u in users]  # fmt: skip
    arguments = {
        "projects": projects_frame(
            project_id=IDS,
            owners=[["x"], ["y"], ["x", "z"], None, None, None, ["x"]],
            stratum=["1990", None, "1990", "1995", None, None, None],
        ),
        "covers": covers,
        "splits": pl.DataFrame({"project_id": IDS, "split": ["test"] * 6 + ["train"]}),
        "factor_ids": ["a", "b", "c", "d", "e", "g"],
        **changes,
    }
    truth = build_truth(pl.DataFrame(rows, schema=["user_id", "project_id"], orient="row"))
    return build_pool(truth, build_catalog(**arguments), "test", rules)


def test_each_condition_leaves_out_and_counts() -> None:
    pool = pool_of()
    # c has more events than b of the same look group.
    assert pool.project_ids == ("a", "c", "d")
    assert dict(pool.counts) == {
        "projects": 6,
        "without readable cover or vector": 1,
        "below min_degree": 0,
        "without latent_factors": 1,
        "same look group as another": 1,
        "beyond max_candidates": 0,
        "pool": 3,
        "candidates only, beyond max_queries": 0,
    }
    assert pool.queries.tolist() == [0, 1, 2]


def test_min_degree_leaves_out() -> None:
    pool = pool_of(PoolRules(min_degree=2))
    assert pool.project_ids == ("a", "c")
    # f falls here already, before its missing factors are looked at.
    assert pool.counts["below min_degree"] == 2


def test_equal_events_go_to_the_smallest_id() -> None:
    covers = covers_frame(IDS, look_group=["ac", "b", "ac", "d", "e", "f", "g"])
    assert pool_of(covers=covers).project_ids == ("a", "b", "d", "e")


def test_popularity_and_codes_follow_the_ids() -> None:
    pool = pool_of()
    assert pool.popularity.tolist() == [3, 3, 1]
    assert pool.strata.tolist() == [0, 0, 1]
    assert pool.fields.tolist() == [-1, -1, -1]
    assert pool.groups[0] == pool.groups[1] != pool.groups[2]


def test_comparable_needs_another_look_and_no_common_owner() -> None:
    pool = pool_of()
    everyone = np.arange(3)
    # a and c share the owner x, c and d the look component; a and d may be compared although
    # nobody knows who owns d.
    assert pool.comparable(everyone, everyone).tolist() == [
        [False, False, True],
        [False, False, False],
        [True, False, False],
    ]


def test_two_unknown_owners_differ() -> None:
    pool = pool_of(projects=projects_frame(project_id=IDS))
    assert pool.comparable(np.array([0]), np.array([1, 2])).tolist() == [[True, True]]


def test_a_candidate_never_shares_an_owner_with_its_query() -> None:
    # So a row that knew owners would stand at chance by construction: there is none.
    world = clustered_world().judged
    truth = build_truth(world.events)
    for split in ("validation", "test"):
        pool = build_pool(truth, world.catalog(), split, PoolRules())
        everyone = np.arange(len(pool.project_ids))
        shared = (pool.owners @ pool.owners.T).toarray() > 0
        assert shared.sum() > len(everyone), "somebody owns several"
        assert not (pool.comparable(everyone, everyone) & shared).any()
        assert pool.split_groups.nnz == 0


def test_split_groups_are_there_where_nobody_is_an_owner() -> None:
    years = ["1990", "x", "1990", None, None, "y", "z"]
    pool = pool_of(projects=projects_frame(project_id=IDS, split_group=years))
    assert pool.owners.nnz == 0
    assert pool.split_groups.toarray().tolist() == [[1], [1], [0]]
    owned = [["w"], None, None, None, None, None, None]
    pool = pool_of(projects=projects_frame(project_id=IDS, split_group=years, owners=owned))
    assert pool.split_groups.shape == (3, 0)


class TestBounds:
    WORLD = clustered_world().judged
    TRUTH = build_truth(WORLD.events)

    def pool(self, **bounds: int) -> Pool:
        return build_pool(self.TRUTH, self.WORLD.catalog(), "test", PoolRules(**bounds))

    def test_beyond_the_first_bound_projects_are_candidates_only(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        everybody = self.pool()
        n = len(everybody.project_ids)
        with caplog.at_level(logging.INFO):
            pool = self.pool(max_queries=40)
        assert pool.project_ids == everybody.project_ids
        assert len(pool.queries) == len(set(pool.queries.tolist())) == 40
        assert pool.counts["candidates only, beyond max_queries"] == n - 40
        assert f"test: of {n} projects {n} are candidates" in caplog.text
        assert "40 are queried" in caplog.text

    def test_beyond_the_second_they_are_left_out_and_counted(self) -> None:
        everybody = self.pool()
        pool = self.pool(max_queries=40, max_candidates=70)
        assert set(pool.project_ids) < set(everybody.project_ids)
        assert (pool.counts["pool"], len(pool.project_ids)) == (70, 70)
        assert pool.counts["beyond max_candidates"] == len(everybody.project_ids) - 70
        # The same are asked whoever else is a candidate: it goes by their keys.
        wide = self.pool(max_queries=40)
        asked = {pool.project_ids[row] for row in pool.queries}
        assert asked == {wide.project_ids[row] for row in wide.queries}

    def test_a_lower_bound_asks_some_of_the_same_and_another_seed_others(self) -> None:
        few, more, other = (
            set(self.pool(max_queries=n, seed=seed).queries.tolist())
            for n, seed in ((20, 0), (40, 0), (40, 1))
        )
        assert few < more
        assert more != other


def test_an_empty_pool_says_what_left_everybody_out() -> None:
    with pytest.raises(DataError, match=r"1 are left: .*'below min_degree': 4"):
        pool_of(PoolRules(min_degree=3), covers=covers_frame(IDS, look_group=["q"] * 7))


def test_min_degree_below_one_is_refused() -> None:
    with pytest.raises(DataError, match="at least 1, got 0"):
        PoolRules(min_degree=0)


def test_a_readable_cover_needs_its_look() -> None:
    covers = covers_frame(IDS, look_component=["a", None, "c", "d", "e", "f", "g"])
    with pytest.raises(DataError, match="1 readable covers have no look_group"):
        pool_of(covers=covers)


def test_missing_columns_are_named() -> None:
    with pytest.raises(DataError, match="'stratum'"):
        pool_of(projects=projects_frame(project_id=IDS).drop("stratum"))
