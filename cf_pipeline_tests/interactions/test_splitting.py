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


OF_130: list[list[str] | None] = [[f"o{i % 130}"] for i in range(400)]
"""Owners of 400 projects."""


class TestFolds:
    def sides(self, fold: int, folds: int = 5, **more: object) -> list[str]:
        config = SplitConfig(folds=folds, fold=fold)
        return run(OF_130, config=config, **more)[1]

    @pytest.mark.parametrize("folds", [3, 5, 10])
    def test_every_project_is_tested_once_and_validated_once(self, folds: int) -> None:
        homes = [self.sides(fold, folds) for fold in range(folds)]
        for names in zip(*homes, strict=True):
            assert sorted(names) == ["test", *["train"] * (folds - 2), "validation"]
        for fold, names in enumerate(homes):
            # Whoever validates is tested in the next home.
            following = homes[(fold + 1) % folds]
            tested = [name == "test" for name in following]
            assert [name == "validation" for name in names] == tested
            assert names.count("test") / 400 == pytest.approx(1 / folds, abs=0.1)

    def test_groups_stay_together(self) -> None:
        names = self.sides(2)
        for owner in range(130):
            assert len({names[i] for i in range(400) if i % 130 == owner}) == 1

    def test_a_large_component_and_what_has_no_cover_always_train(self) -> None:
        owners: list[list[str] | None] = [["big"]] * 30 + [[f"o{i}"] for i in range(70)]
        status = ["ok"] * 90 + ["missing"] * 10
        for fold in range(3):
            config = SplitConfig(folds=3, fold=fold)
            _, names = run(owners, status=status, share=0.2, config=config)
            assert set(names[:30]) == set(names[90:]) == {"train"}
            assert names[30:90].count("test") > 5

    def test_the_seed_deals_them_anew_and_the_shares_do_not_matter(self) -> None:
        first = self.sides(0)
        other = run(OF_130, config=SplitConfig(folds=5, fold=0, seed=1))[1]
        assert first != other
        same = run(OF_130, config=SplitConfig(folds=5, validation=0.4, test=0.4))[1]
        assert first == same

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"folds": 2}, "greater than or equal to 3"),
            ({"folds": 5, "fold": 5}, r"split\.fold must be below split\.folds = 5, got 5"),
            ({"fold": 1}, r"split\.fold = 1 needs split\.folds"),
            ({"folds": 5, "fold": -1}, "greater than or equal to 0"),
        ],
    )
    def test_folds_that_are_not_there_are_refused(self, given: dict, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            SplitConfig(**given)


def test_without_folds_the_split_is_that_of_earlier_releases() -> None:
    _, names = run([[f"o{i}"] for i in range(40)])
    # t-r-ain, v-a-lidation, t-e-st, as release 0.1.0 had them: nobody's split moves.
    assert "".join(name[1] for name in names) == "rerrrererreererrrrrerearerrrraerreerrrrr"
