"""The split: nothing leaks, nothing moves, oversized components train."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_pipeline.interactions.config import SplitConfig
from cf_pipeline.interactions.splitting import Split, count_moves, split_projects

CONFIG = SplitConfig()


def run(
    owners: list[list[str] | None],
    looks: list[str | None] | None = None,
    groups: list[str | None] | None = None,
    status: list[str] | None = None,
    share: float = 1.0,
    config: SplitConfig = CONFIG,
) -> tuple[Split, list[str]]:
    n = len(owners)
    ids = [f"{i:04}" for i in range(n)]
    projects = pl.DataFrame(
        {"project_id": ids, "owners": owners, "split_group": groups or [None] * n},
        schema={
            "project_id": pl.String,
            "owners": pl.List(pl.String),
            "split_group": pl.String,
        },
    )
    covers = pl.DataFrame(
        {"project_id": ids, "status": status or ["ok"] * n, "look_component": looks or ids},
        schema={"project_id": pl.String, "status": pl.String, "look_component": pl.String},
    )
    split = split_projects(projects, covers, config=config, max_component_share=share)
    return split, split.assignment.sort("project_id")["split"].to_list()


def test_shares_are_those_asked_for() -> None:
    _, names = run([None] * 4000)
    assert names.count("validation") / 4000 == pytest.approx(0.15, abs=0.02)
    assert names.count("test") / 4000 == pytest.approx(0.25, abs=0.02)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=40))
def test_no_owner_and_no_look_is_in_two_splits(cells: list[tuple[int, int]]) -> None:
    owners: list[list[str] | None] = [[f"o{o}"] for o, _ in cells]
    looks: list[str | None] = [f"l{look}" for _, look in cells]
    _, names = run(owners, looks)
    for values in (owners, looks):
        for value in values:
            assert len({n for n, v in zip(names, values, strict=True) if v == value}) == 1


def test_a_project_with_two_owners_joins_both() -> None:
    owners: list[list[str] | None] = [["a"], ["a", "b"], ["b"], None]
    split, names = run(owners)
    assert names[0] == names[1] == names[2]
    assert split.n_components == 2


def test_a_given_group_takes_the_place_of_the_owners() -> None:
    split, _ = run([["a"], ["a"], ["a"]], groups=["1994", "1995", None])
    assert split.n_components == 3


def test_a_new_project_moves_nobody() -> None:
    before, _ = run([[f"o{i % 50}"] for i in range(300)])
    after, _ = run([[f"o{i % 50}"] for i in range(300)] + [["new"], ["o1"]])
    assert count_moves(before.assignment, after.assignment) == 0


def test_a_large_component_always_trains() -> None:
    for seed in range(8):
        split, names = run(
            [["big"]] * 30 + [[f"o{i}"] for i in range(70)],
            share=0.2,
            config=SplitConfig(seed=seed),
        )
        assert set(names[:30]) == {"train"}
        assert split.oversized == (30,)


def test_without_a_readable_cover_it_trains() -> None:
    _, names = run([None] * 200, status=["missing"] * 200)
    assert set(names) == {"train"}


def test_another_seed_is_another_split() -> None:
    _, first = run([None] * 100)
    _, second = run([None] * 100, config=SplitConfig(seed=1))
    assert first != second


def test_shares_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be below 1, got 0\.5 \+ 0\.5"):
        SplitConfig(validation=0.5, test=0.5)
