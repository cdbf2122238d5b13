"""Checks of the scoreboard on rows as the protocol writes them."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import numpy as np
import polars as pl
import pytest
from scipy import stats

from cf_pipeline.benchmark.queries import QueryValues
from cf_pipeline.benchmark.soundness import (
    one_champion,
    protocol_does_not_leak,
    scores_are_above_chance,
)
from cf_pipeline.benchmark.tables import query_table, score_tables
from cf_pipeline.errors import DataError
from cf_pipeline.verdict import Verdict

NAMES = ("chance", "popularity", "split_group", "imagenet", "collaborative")


def queries(
    shifts: dict[str, float],
    measures: tuple[str, ...] = ("triplet_accuracy", "ndcg_at_10"),
    split: str = "test",
    n_groups: int = 20,
) -> QueryValues:
    """Eighty queries; a shift is what a feature set has beyond chance."""
    rng = np.random.default_rng(0)
    values = {}
    for measure in measures:
        noise = rng.normal(0, 0.1, size=(80, len(NAMES)))
        noise -= noise.mean(axis=0)
        noise[:, 0] = 0
        values[measure] = 0.5 + noise + [shifts.get(name, 0.0) for name in NAMES]
    ids = tuple(f"p{row}" for row in range(80))
    return QueryValues(split, ids, np.arange(80) % n_groups, NAMES, values)


def tables(*given: object, **more: object) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scores and differences of `queries`."""
    return score_tables(queries(*given, **more), chosen="collaborative", n_resamples=200, seed=0)


def group_sizes(*parts: QueryValues) -> pl.DataFrame:
    """Queries by group, as the check asks the warehouse for them."""
    of_chance = pl.concat(map(query_table, parts)).filter(feature_set="chance")
    return of_chance.group_by("split", "measure", "bootstrap_group").len("n_queries")


def leaks(*parts: QueryValues, n_resamples: int = 200) -> Verdict:
    """What the check says of some splits or measures."""
    differences = [
        score_tables(part, chosen="chance", n_resamples=n_resamples, seed=0)[1] for part in parts
    ]
    return protocol_does_not_leak(pl.concat(differences), group_sizes(*parts))


class TestAboveChance:
    def test_a_layer_that_knows_something(self) -> None:
        scores, differences = tables({"collaborative": 0.2})
        verdict = scores_are_above_chance(differences, scores)
        assert verdict.passed, verdict.message
        assert verdict.facts["chosen"] == "collaborative"
        assert verdict.facts["triplet_accuracy_difference"] == pytest.approx(0.2)
        assert "ndcg_at_10 +0.200 [+0." in verdict.message

    @pytest.mark.parametrize("shift", [0.0, -0.2])
    def test_a_layer_at_chance_or_below(self, shift: float) -> None:
        scores, differences = tables({"collaborative": shift, "imagenet": 0.3})
        verdict = scores_are_above_chance(differences, scores)
        assert not verdict.passed
        assert "not so: ndcg_at_10, triplet_accuracy" in verdict.message

    def test_within_strata_where_there_are(self) -> None:
        """What stands above chance only because strata differ is not above chance."""
        plain_scores, plain = tables({"collaborative": 0.2})
        scores, within = tables(
            {"collaborative": 0.0},
            ("triplet_accuracy_within_stratum", "ndcg_at_10_within_stratum"),
        )
        verdict = scores_are_above_chance(
            pl.concat([plain, within]), pl.concat([plain_scores, scores])
        )
        assert not verdict.passed
        assert "triplet_accuracy_difference" not in verdict.facts
        unanswered = within.with_columns(pl.lit(None, pl.Float64).alias("difference"))
        assert scores_are_above_chance(pl.concat([plain, unanswered]), plain_scores).passed

    def test_a_diagnostic_is_no_claim(self) -> None:
        scores, differences = tables({"collaborative": 0.2}, ("same_field_at_10",))
        assert not scores_are_above_chance(differences, scores).passed

    def test_validation_is_no_test(self) -> None:
        scores, differences = tables({"collaborative": 0.2}, split="validation")
        verdict = scores_are_above_chance(differences, scores)
        assert not verdict.passed
        assert "no test query was answered" in verdict.message

    def test_one_group_gives_no_interval(self) -> None:
        scores, differences = tables({"collaborative": 0.2}, n_groups=1)
        verdict = scores_are_above_chance(differences, scores)
        assert not verdict.passed
        assert "+0.200 no interval" in verdict.message
        assert "triplet_accuracy_low" not in verdict.facts

    def test_rows_of_two_models(self) -> None:
        scores, differences = tables({})
        other = scores.with_columns(chosen=pl.col("feature_set") == "imagenet")
        with pytest.raises(DataError, match=r"one chosen layer, got \['collaborative', 'imagenet'"):
            scores_are_above_chance(differences, pl.concat([scores, other]))


class TestLeaks:
    def test_controls_at_chance(self) -> None:
        verdict = leaks(queries({"collaborative": 0.3, "imagenet": 0.2}))
        assert verdict.passed
        # Two controls by two measures, each held against its share of one in twenty.
        assert verdict.facts["n_looks"] == 4
        assert verdict.facts["limit"] == pytest.approx(0.05 / 4)
        assert verdict.facts["off_chance"] == "none"

    @pytest.mark.parametrize("name", ["popularity", "split_group"])
    @pytest.mark.parametrize("shift", [0.2, -0.2])
    def test_a_control_off_chance(self, name: str, shift: float) -> None:
        verdict = leaks(queries({name: shift}))
        assert not verdict.passed
        assert verdict.facts["n_off_chance"] == 2
        assert f"{name} triplet_accuracy test ({shift:+.3f})" in verdict.message

    def test_every_split_is_looked_at(self) -> None:
        verdict = leaks(queries({}, split="validation"), queries({"popularity": 0.2}))
        assert verdict.facts["n_looks"] == 8
        assert verdict.facts["n_off_chance"] == 2

    def test_popular_projects_of_one_field_are_no_leak(self) -> None:
        verdict = leaks(queries({"popularity": 0.2}, ("same_field_at_10",)))
        assert (verdict.passed, verdict.facts["n_looks"]) == (True, 0)

    @pytest.mark.parametrize(("within", "passed"), [(0.0, True), (0.2, False)])
    def test_where_there_are_strata_a_split_group_is_judged_within_them(
        self, within: float, passed: bool
    ) -> None:
        """Films of a year are seen together: that is known, and why there are strata."""
        plain = queries({"split_group": 0.3})
        verdict = leaks(plain, queries({"split_group": within}, ("ndcg_at_10_within_stratum",)))
        assert verdict.passed is passed
        assert verdict.facts["n_looks"] == 4
        assert not leaks(plain).passed

    def test_the_p_value_is_students(self) -> None:
        # Twenty groups of four say what twenty say; one of 61 and 19 of one much less.
        even = queries({"popularity": 0.03}, ("ndcg_at_10",))
        skewed = replace(even, groups=np.maximum(np.arange(80) - 60, 0))
        for part, n_effective in ((even, 20.0), (skewed, 80**2 / (61**2 + 19))):
            row = score_tables(part, chosen="chance", n_resamples=200, seed=0)[1].row(
                by_predicate=(pl.col("feature_set") == "popularity")
                & (pl.col("reference") == "chance"),
                named=True,
            )
            score = row["difference"] / ((row["high"] - row["low"]) / (2 * stats.norm.isf(0.025)))
            expected = 2 * stats.t.sf(score, max(1.0, n_effective - 1))
            assert leaks(part).facts["smallest_p_value"] == pytest.approx(expected)

    def test_without_spread_a_control_is_at_chance_or_surely_not(self) -> None:
        part = queries({})
        _, differences = tables({})
        for value, p_value in ((0.0, 1.0), (0.1, 0.0)):
            still = differences.with_columns(difference=value, low=value, high=value)
            verdict = protocol_does_not_leak(still, group_sizes(part))
            assert verdict.passed is (value == 0.0)
            assert verdict.facts["smallest_p_value"] == p_value

    def test_one_group_gives_nothing_to_judge_by(self) -> None:
        verdict = leaks(queries({"popularity": 0.3}, n_groups=1))
        assert (verdict.passed, verdict.facts) == (True, {"n_looks": 0})


SKEWED = (47, 20, 20, 18, 13, 7, 6, 5, 4, *[3] * 5, *[2] * 12, *[1] * 60)
"""Queries by group as in the demo's test pool, which say as much as fifteen equal groups."""


def simulated(
    rng: np.random.Generator, leak: float, split: str, sizes: tuple[int, ...]
) -> QueryValues:
    """Two controls by four measures."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    n = len(groups)
    # What a control finds by accident is alike in all measures, and shared in a group.
    shared = 0.1 * rng.normal(size=(len(sizes), 2))[groups] + 0.2 * rng.normal(size=(n, 2))
    values = {
        f"{measure}{suffix}": np.column_stack([
            np.zeros(n),
            shared + 0.2 * rng.normal(size=(n, 2)) + [leak, 0.0],
        ])
        for measure in ("triplet_accuracy", "ndcg_at_10")
        for suffix in ("", "_within_stratum")
    }
    names = ("chance", "popularity", "split_group")
    return QueryValues(split, tuple(map(str, range(n))), groups, names, values)


def verdicts(leak: float, sizes: tuple[int, ...], n: int) -> list[Verdict]:
    rng = np.random.default_rng(0)
    return [
        leaks(
            *(simulated(rng, leak, split, sizes) for split in ("validation", "test")),
            n_resamples=500,
        )
        for _ in range(n)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(3,) * 80, SKEWED], ids=["even", "skewed"])
def test_a_sound_protocol_warns_one_time_in_twenty_at_most(sizes: tuple[int, ...]) -> None:
    n = 200
    said = verdicts(0.0, sizes, n)
    assert said[0].facts["n_looks"] == 12
    warned = sum(not verdict.passed for verdict in said)
    # Twelve looks at 95 % each would warn one time in two. Two standard errors beyond 1 in 20:
    assert warned / n < 0.05 + 2 * np.sqrt(0.05 * 0.95 / n)


@pytest.mark.parametrize(("sizes", "leak"), [((3,) * 80, 0.1), (SKEWED, 0.25)])
def test_a_leak_is_seen(sizes: tuple[int, ...], leak: float) -> None:
    # Five standard errors of a control's difference to chance, and more.
    assert not any(verdict.passed for verdict in verdicts(leak, sizes, 30))


def test_one_model_serves() -> None:
    roles = pl.DataFrame({
        "role": ["challenger", "champion", "best"],
        "model_version": ["c", "a", "b"],
    })
    embedded = pl.DataFrame({"model_version": ["a", "b"]})
    verdict = one_champion(roles, embedded)
    assert (verdict.passed, verdict.facts) == (True, {"champion": "a"})
    lost = one_champion(roles, embedded.filter(pl.col("model_version") != "b"))
    assert not lost.passed
    assert "none of b are there" in lost.message
    nobody = one_champion(roles.filter(pl.col("role") != "champion"), embedded)
    assert "Expected one champion, got 0" in nobody.message
    assert nobody.facts == {"champion": "none"}


def test_checks_say_what_they_read_and_whether_they_turn_rows_away() -> None:
    assert [check.blocking for check in (scores_are_above_chance, protocol_does_not_leak)] == [
        False,
        False,
    ]
    assert one_champion.blocking
    connection = duckdb.connect()
    scores, differences = tables({"collaborative": 0.2})
    for name, frame in (
        ("similarity_scores", scores),
        ("similarity_differences", differences),
        ("similarity_queries", query_table(queries({"collaborative": 0.2}))),
    ):
        frame = pl.concat([frame.with_columns(model_version=pl.lit(model)) for model in ("a", "b")])
        connection.execute(f"create table {name} as from frame")
    connection.execute(
        "create table promoted_model as select 'champion' as role, 'a' as model_version"
    )
    connection.execute("create table embeddings as select 'a' as model_version from range(3)")
    for check in (scores_are_above_chance, protocol_does_not_leak, one_champion):
        assert check.look(connection, "a").passed
    assert protocol_does_not_leak.look(connection, "a").facts["n_looks"] == 4
