"""Each check of the group interactions: sound tables pass, of broken ones the fault is told."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_pipeline.interactions.config import SplitConfig
from cf_pipeline.interactions.soundness import (
    MIN_JOIN_SHARE,
    held_out_is_held_out,
    interactions_join_projects,
    matrix_is_not_degenerate,
)
from cf_pipeline.interactions.splitting import split_projects


def ids(*names: str) -> pl.DataFrame:
    return pl.DataFrame({"project_id": names}, schema={"project_id": pl.String})


class TestJoin:
    PROJECTS = ids(*(f"p{row}" for row in range(10)))

    def test_most_projects_are_known(self) -> None:
        verdict = interactions_join_projects(ids("p1", "p2", "p2", "gone"), self.PROJECTS)
        assert verdict.passed
        assert verdict.facts == {
            "projects_in_interactions": 3,
            "known": 2,
            "unknown": 1,
            "known_share": pytest.approx(2 / 3),
            "projects_without_interactions": 8,
        }

    @pytest.mark.parametrize(("n_strangers", "passed"), [(90, True), (91, False)])
    def test_the_limit(self, n_strangers: int, passed: bool) -> None:
        strangers = ids(*(f"gone{row}" for row in range(n_strangers)))
        verdict = interactions_join_projects(pl.concat([self.PROJECTS, strangers]), self.PROJECTS)
        assert verdict.passed is passed
        assert (verdict.facts["known_share"] >= MIN_JOIN_SHARE) is passed

    def test_ids_written_in_another_way(self) -> None:
        verdict = interactions_join_projects(ids("007", "008"), ids("7", "8"))
        assert not verdict.passed
        assert "interactions have '007', raw_projects '7'" in verdict.message

    def test_no_interactions_at_all(self) -> None:
        assert not interactions_join_projects(ids(), self.PROJECTS).passed
        assert not interactions_join_projects(self.PROJECTS, ids()).passed


def pairs(filled: np.ndarray, confidence: float = 2.0) -> pl.DataFrame:
    """The rows of a matrix from where it is filled."""
    users, projects = np.nonzero(filled)
    return pl.DataFrame({
        "user_id": [f"u{u:03}" for u in users],
        "project_id": [f"p{p:03}" for p in projects],
        "confidence": pl.Series([confidence] * len(users), dtype=pl.Float32),
    })


def sparse_world(n_users: int = 40, n_projects: int = 60) -> np.ndarray:
    return np.random.default_rng(0).random((n_users, n_projects)) < 0.15


class TestMatrix:
    def test_a_sparse_matrix(self) -> None:
        filled = sparse_world()
        verdict = matrix_is_not_degenerate(pairs(filled))
        assert verdict.passed
        assert verdict.facts["density"] == pytest.approx(filled.mean())
        assert verdict.facts["connected_share"] == 1

    @pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), None])
    def test_a_confidence_that_is_none(self, bad: float | None) -> None:
        matrix = pairs(sparse_world())
        first = pl.int_range(pl.len()) == 0
        broken = matrix.with_columns(pl.when(first).then(bad).otherwise("confidence").alias("c"))
        verdict = matrix_is_not_degenerate(
            broken.drop("confidence").rename({"c": "confidence"}).cast({"confidence": pl.Float32})
        )
        assert not verdict.passed
        assert verdict.facts["bad_confidences"] == 1

    @pytest.mark.parametrize("shape", [(0, 0), (1, 9), (9, 1)])
    def test_one_user_or_one_project(self, shape: tuple[int, int]) -> None:
        verdict = matrix_is_not_degenerate(pairs(np.ones(shape, dtype=bool)))
        assert not verdict.passed
        assert "at least 2 users and 2 projects" in verdict.message

    def test_everybody_did_everything(self) -> None:
        verdict = matrix_is_not_degenerate(pairs(np.ones((5, 6), dtype=bool)))
        assert not verdict.passed
        assert "Every user has every project" in verdict.message

    @pytest.mark.parametrize("side", ["users", "projects"])
    @pytest.mark.parametrize(("n_alike", "passed"), [(20, True), (21, False)])
    def test_most_are_alike(self, side: str, n_alike: int, passed: bool) -> None:
        filled = sparse_world(40, 40)
        assert len(np.unique(filled, axis=0)) == len(np.unique(filled, axis=1).T) == 40
        filled[:n_alike] = filled[0]
        verdict = matrix_is_not_degenerate(pairs(filled if side == "users" else filled.T))
        assert verdict.passed is passed
        kept = filled.any(axis=0).sum(), 40
        assert verdict.facts[side] == kept[1]
        assert verdict.facts[f"alike_{side}_share"] == n_alike / 40

    def test_worlds_that_share_no_user(self) -> None:
        filled = np.zeros((60, 60), dtype=bool)
        for start in (0, 20, 40):
            block = np.random.default_rng(start).random((20, 20)) < 0.4
            filled[start : start + 20, start : start + 20] = block
        verdict = matrix_is_not_degenerate(pairs(filled))
        assert not verdict.passed
        assert verdict.facts["connected_share"] == pytest.approx(1 / 3, abs=0.02)
        filled[0] = True  # one user of every world
        assert matrix_is_not_degenerate(pairs(filled)).passed


def world(
    owners: list[list[str] | None],
    looks: list[str] | None = None,
    groups: list[str | None] | None = None,
    status: list[str] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Projects and covers."""
    n = len(owners)
    ids = [f"{i:04}" for i in range(n)]
    status = status or ["ok"] * n
    looks_read = [look if s == "ok" else None for look, s in zip(looks or ids, status, strict=True)]
    text = pl.String
    projects = pl.DataFrame(
        {"project_id": ids, "owners": owners, "split_group": groups or [None] * n},
        schema={"project_id": text, "owners": pl.List(text), "split_group": text},
    )
    covers = pl.DataFrame(
        {"project_id": ids, "status": status, "look_component": looks_read},
        schema={"project_id": text, "status": text, "look_component": text},
    )
    return covers, projects


def sides(*names: str) -> pl.DataFrame:
    return pl.DataFrame({"project_id": [f"{i:04}" for i in range(len(names))], "split": names})


class TestSplits:
    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.lists(st.sampled_from("abcdef"), max_size=2),
                st.integers(0, 12),
                st.sampled_from([None, None, "x", "y"]),
                st.sampled_from(["ok", "ok", "ok", "missing", "unreadable"]),
            ),
            min_size=1,
            max_size=40,
        ),
        st.sampled_from([0.1, 1.0]),
    )
    def test_the_split_of_the_pipeline_is_sound(
        self, rows: list[tuple[list[str], int, str | None, str]], share: float
    ) -> None:
        owners, looks, groups, status = map(list, zip(*rows, strict=True))
        covers, projects = world(owners, [f"l{look}" for look in looks], groups, status)
        config = SplitConfig(validation=0.3, test=0.3)
        split = split_projects(projects, covers, config=config, max_component_share=share)
        verdict = held_out_is_held_out(split.assignment, covers, projects)
        assert verdict.passed, verdict.message
        assert sum(verdict.facts[side] for side in ("train", "validation", "test")) == len(rows)

    @pytest.mark.parametrize(
        ("given", "fact"),
        [
            (world([None] * 3, looks=["a", "b", "a"]), "look_components_across"),
            (world([None] * 3, groups=["a", "b", "a"]), "split_groups_across"),
            (world([["a", "c"], ["b"], ["c"]]), "owners_across"),
            (world([None] * 3, status=["ok", "ok", "missing"]), "held_out_without_cover"),
        ],
    )
    def test_what_belongs_together_in_two_splits(
        self, given: tuple[pl.DataFrame, pl.DataFrame], fact: str
    ) -> None:
        assert held_out_is_held_out(sides("train", "test", "train"), *given).passed
        verdict = held_out_is_held_out(sides("train", "validation", "test"), *given)
        assert not verdict.passed
        assert f"{fact} 1" in verdict.message
        faults = set(verdict.facts) - {"train", "validation", "test"}
        assert {name for name in faults if verdict.facts[name]} == {fact}

    def test_a_project_without_a_cover_ties_nobody(self) -> None:
        given = world([["a"], ["a"]], status=["ok", "unreadable"])
        assert held_out_is_held_out(sides("test", "train"), *given).passed

    def test_a_given_group_takes_the_place_of_the_owners(self) -> None:
        given = world([["a"], ["a"]], groups=["1994", "1995"])
        assert held_out_is_held_out(sides("test", "train"), *given).passed

    def test_a_project_in_two_splits_in_none_and_one_unknown(self) -> None:
        given = world([None] * 3)
        split = pl.DataFrame({
            "project_id": ["0000", "0000", "0001", "other"],
            "split": ["train", "test", "train", "train"],
        })
        verdict = held_out_is_held_out(split, *given)
        assert not verdict.passed
        assert verdict.facts["projects_repeated"] == 1
        assert verdict.facts["projects_without_split"] == 1
        assert verdict.facts["unknown_projects"] == 1


def test_checks_say_what_they_read() -> None:
    connection = duckdb.connect()
    covers, projects = world([["a"], ["b"], None])
    given = {
        "covers": covers,
        "raw_projects": projects,
        "project_split": sides("train", "validation", "test"),
        "pruned_matrix": pairs(sparse_world()),
        "raw_interactions": ids("0000", "0001", "0001"),
    }
    for name, rows in given.items():
        connection.register("rows", rows)
        connection.execute(f"create table {name} as from rows")
    for check in (held_out_is_held_out, interactions_join_projects, matrix_is_not_degenerate):
        assert check.blocking
        assert check.look(connection, None).passed
