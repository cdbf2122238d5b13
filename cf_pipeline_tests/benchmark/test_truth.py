"""Which events are truth, how duplicates are united, and who belongs together."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cf_pipeline.benchmark.truth import (
    bootstrap_groups,
    build_truth,
    truth_events,
    united_projects,
)
from cf_pipeline.errors import DataError
from cf_pipeline_tests.benchmark.similarity_worlds import projects_frame

REPRESENTATIVES = pl.DataFrame({"project_id": ["a", "b", "c"], "representative": ["a", "a", "c"]})
OWNERS = pl.DataFrame({"project_id": ["a", "b", "c"], "user_id": ["by:x", "by:y", "by:z"]})


def events_of(rows: list[tuple[str, str, str]], **changes: object) -> set[tuple[str, str]]:
    interactions = pl.DataFrame(rows, schema=["user_id", "project_id", "kind"], orient="row")
    arguments = {
        "truth_kinds": ["view", "like"],
        "excluded_users": ["robot"],
        "representatives": REPRESENTATIVES,
        "owner_users": OWNERS,
        **changes,
    }
    return set(truth_events(interactions, **arguments).rows())


def test_only_truth_kinds_of_users_that_are_not_excluded() -> None:
    rows = [("u", "c", "view"), ("u", "c", "like"), ("v", "c", "owns"), ("robot", "c", "view")]
    assert events_of(rows) == {("u", "c")}


def test_duplicates_count_as_their_representative_once() -> None:
    rows = [("u", "a", "view"), ("u", "b", "view"), ("v", "b", "view"), ("v", "d", "view")]
    assert events_of(rows) == {("u", "a"), ("v", "a"), ("v", "d")}


def test_owners_of_any_duplicate_are_left_out() -> None:
    # by:y owns b, which stands under a; by:z owns c and may like a.
    rows = [("by:x", "b", "view"), ("by:y", "a", "view"), ("by:z", "a", "view")]
    assert events_of(rows) == {("by:z", "a")}


def test_nothing_left_says_why() -> None:
    with pytest.raises(DataError, match=r"of 1 interactions 0 are of the kinds \['like', 'view'\]"):
        events_of([("u", "a", "owns")])


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match=r"owner_users: expected the columns .*'user_id'\]"):
        events_of([("u", "a", "view")], owner_users=pl.DataFrame({"project_id": ["a"]}))


def test_united_projects_carry_the_owners_of_all_duplicates() -> None:
    projects = projects_frame(
        project_id=["a", "b", "c", "d"],
        owners=[["x"], ["y", "x"], None, []],
        field=["f", "g", "h", "i"],
    )
    united = united_projects(projects, REPRESENTATIVES)
    assert united.select("project_id", "owners", "field").rows() == [
        ("a", ["x", "y"], "f"),
        ("c", None, "h"),
        ("d", None, "i"),
    ]


def test_groups_are_split_groups_then_owners_then_the_project_alone() -> None:
    projects = projects_frame(
        project_id=["a", "b", "c", "d", "e", "f", "g", "h"],
        owners=[["x"], ["x", "y"], ["y"], None, ["z"], ["x"], None, []],
        split_group=[None, None, None, None, None, "1999", "1999", None],
    )
    groups = bootstrap_groups(projects).tolist()
    # a-b by x, b-c by y; f is of 1999, not of x; d and h are alone.
    assert groups[0] == groups[1] == groups[2]
    assert groups[5] == groups[6]
    assert len({groups[0], groups[3], groups[4], groups[5], groups[7]}) == 5


def slow_groups(owners: list[list[str]]) -> list[set[int]]:
    groups: list[set[int]] = []
    for row, names in enumerate(owners):
        joined = {row}
        for group in [g for g in groups if any(set(owners[i]) & set(names) for i in g)]:
            joined |= group
            groups.remove(group)
        groups.append(joined)
    return groups


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=3), min_size=1, max_size=12))
def test_groups_equal_their_slow_twin(owners: list[list[str]]) -> None:
    ids = [str(i) for i in range(len(owners))]
    found = bootstrap_groups(projects_frame(project_id=ids, owners=owners))
    by_group = {g: {i for i, other in enumerate(found.tolist()) if other == g} for g in found}
    assert sorted(map(sorted, by_group.values())) == sorted(map(sorted, slow_groups(owners)))


def test_truth_counts_every_project_with_an_event() -> None:
    events = pl.DataFrame({"user_id": ["u", "v", "u"], "project_id": ["b", "a", "a"]})
    truth = build_truth(events)
    assert truth.project_ids == ("a", "b")
    assert truth.engagement.degrees.tolist() == [2, 1]


def test_truth_refuses_repeated_pairs() -> None:
    events = pl.DataFrame({"user_id": ["u", "u"], "project_id": ["a", "a"]})
    with pytest.raises(DataError, match="1 are repeated"):
        build_truth(events)
