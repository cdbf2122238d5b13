"""Checks of the scoreboard on rows as the protocol writes them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.queries import QueryValues
from cf_pipeline.benchmark.soundness import protocol_does_not_leak, scores_above_chance
from cf_pipeline.benchmark.tables import score_tables
from cf_pipeline.errors import DataError

NAMES = ("chance", "popularity", "owner", "imagenet", "collaborative")


def tables(
    shifts: dict[str, float],
    measures: tuple[str, ...] = ("triplet_accuracy", "ndcg_at_10"),
    split: str = "test",
    n_groups: int = 20,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scores and differences of eighty queries; a shift is what a feature set has beyond chance."""
    rng = np.random.default_rng(0)
    values = {}
    for measure in measures:
        noise = rng.normal(0, 0.1, size=(80, len(NAMES)))
        noise -= noise.mean(axis=0)
        noise[:, 0] = 0
        values[measure] = 0.5 + noise + [shifts.get(name, 0.0) for name in NAMES]
    queries = QueryValues(
        split=split, feature_sets=NAMES, groups=np.arange(80) % n_groups, values=values
    )
    return score_tables(queries, chosen="collaborative", n_resamples=200, seed=0)


class TestAboveChance:
    def test_a_layer_that_knows_something(self) -> None:
        scores, differences = tables({"collaborative": 0.2})
        verdict = scores_above_chance(differences, scores)
        assert verdict.passed, verdict.message
        assert verdict.facts["chosen"] == "collaborative"
        assert verdict.facts["triplet_accuracy_difference"] == pytest.approx(0.2)
        assert "ndcg_at_10 +0.200 [+0." in verdict.message

    @pytest.mark.parametrize("shift", [0.0, -0.2])
    def test_a_layer_at_chance_or_below(self, shift: float) -> None:
        scores, differences = tables({"collaborative": shift, "imagenet": 0.3})
        verdict = scores_above_chance(differences, scores)
        assert not verdict.passed
        assert "not so: ndcg_at_10, triplet_accuracy" in verdict.message

    def test_within_strata_where_there_are(self) -> None:
        """What stands above chance only because strata differ is not above chance."""
        plain_scores, plain = tables({"collaborative": 0.2})
        scores, within = tables(
            {"collaborative": 0.0},
            ("triplet_accuracy_within_stratum", "ndcg_at_10_within_stratum"),
        )
        verdict = scores_above_chance(pl.concat([plain, within]), pl.concat([plain_scores, scores]))
        assert not verdict.passed
        assert "triplet_accuracy_difference" not in verdict.facts
        unanswered = within.with_columns(pl.lit(None, pl.Float64).alias("difference"))
        assert scores_above_chance(pl.concat([plain, unanswered]), plain_scores).passed

    def test_a_diagnostic_is_no_claim(self) -> None:
        scores, differences = tables({"collaborative": 0.2}, ("same_field_at_10",))
        assert not scores_above_chance(differences, scores).passed

    def test_validation_is_no_test(self) -> None:
        scores, differences = tables({"collaborative": 0.2}, split="validation")
        verdict = scores_above_chance(differences, scores)
        assert not verdict.passed
        assert "no test query was answered" in verdict.message

    def test_one_group_gives_no_interval(self) -> None:
        scores, differences = tables({"collaborative": 0.2}, n_groups=1)
        verdict = scores_above_chance(differences, scores)
        assert not verdict.passed
        assert "+0.200 no interval" in verdict.message
        assert "triplet_accuracy_low" not in verdict.facts

    def test_rows_of_two_models(self) -> None:
        scores, differences = tables({})
        other = scores.with_columns(chosen=pl.col("feature_set") == "imagenet")
        with pytest.raises(DataError, match=r"one chosen layer, got \['collaborative', 'imagenet'"):
            scores_above_chance(differences, pl.concat([scores, other]))


class TestLeaks:
    def test_references_at_chance(self) -> None:
        _, differences = tables({"collaborative": 0.3, "imagenet": 0.2})
        verdict = protocol_does_not_leak(differences)
        assert verdict.passed
        assert verdict.facts == {"rows_off_chance": "none", "n_rows_off_chance": 0}

    @pytest.mark.parametrize("name", ["popularity", "owner"])
    @pytest.mark.parametrize("shift", [0.2, -0.2])
    def test_a_reference_off_chance(self, name: str, shift: float) -> None:
        _, differences = tables({name: shift})
        verdict = protocol_does_not_leak(differences)
        assert not verdict.passed
        assert verdict.facts["n_rows_off_chance"] == 2
        assert f"{name} triplet_accuracy test" in verdict.message

    def test_popular_projects_of_one_field_are_no_leak(self) -> None:
        _, differences = tables({"popularity": 0.2}, ("same_field_at_10",))
        assert protocol_does_not_leak(differences).passed
