"""Who is promoted: planted models of known quality, and every branch of the decision."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cf_pipeline.benchmark.config import BenchmarkConfig, PromotionConfig
from cf_pipeline.benchmark.deciding import Decision, decide
from cf_pipeline.benchmark.promotion import (
    COMPARISON_SCHEMA,
    Candidate,
    Comparison,
    compare_models,
)
from cf_pipeline.benchmark.similarity import SimilarityInputs, similarity_tables
from cf_pipeline.errors import DataError
from cf_pipeline.vectors import IndexedVectors
from cf_pipeline_tests.benchmark.similarity_worlds import clustered_world

CONFIG = BenchmarkConfig(n_resamples=500)
TOLERANCE = PromotionConfig().tolerance
WORLD = clustered_world()
BASE = WORLD.features["collaborative"].vectors
TEST_IDS = frozenset(WORLD.splits.filter(split="test")["project_id"])


def candidate(name: str, vectors: np.ndarray = BASE, **changes: object) -> Candidate:
    indexed = IndexedVectors(WORLD.factors.ids, vectors.astype(np.float32))
    train = frozenset(WORLD.splits.filter(split="train")["project_id"])
    return Candidate(**{
        "model_version": name,
        "layer": "collaborative",
        "vectors": indexed,
        "trained_on": train,
        **changes,
    })


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=BASE.shape)


def judge(
    challenger: Candidate,
    champion: Candidate | None,
    best: Candidate | None = None,
    tolerance: float = TOLERANCE,
    inputs: SimilarityInputs = WORLD,
) -> Decision:
    return decide(compare_models(inputs, challenger, champion, best, CONFIG), tolerance)


class TestPlanted:
    def test_a_shuffled_model_is_not_promoted_and_the_reason_has_figures(self) -> None:
        shuffled = candidate("shuffled", np.random.default_rng(0).permutation(BASE))
        decision = judge(shuffled, candidate("abc123"))
        assert not decision.promoted
        assert decision.best_version == "abc123"
        for measure in ("triplet_accuracy", "ndcg_at_10"):
            assert f"{measure} is 0.3" in decision.reason
        assert "lower than the champion's abc123" in decision.reason
        assert "with an interval below zero" in decision.reason
        assert "best's" not in decision.reason, "the champion is the best: said once"

    def test_an_equal_model_is_promoted(self) -> None:
        again = candidate("again", BASE + 1e-3 * noise(1))
        decision = judge(again, candidate("champion"), candidate("champion"))
        assert decision.promoted
        assert "no loss beyond 0.005" in decision.reason

    def test_a_better_model_is_promoted_and_becomes_the_best(self) -> None:
        champion, best = candidate("c", BASE + noise(2)), candidate("b", BASE + 0.9 * noise(3))
        decision = judge(candidate("new"), champion, best)
        assert decision.promoted
        assert decision.best_version == "new"
        assert "against the champion's c" in decision.reason
        assert "against the best's b" in decision.reason

    def test_small_losses_do_not_add_up(self) -> None:
        # Each step is within the tolerance of the model before; two steps are not.
        rng = np.random.default_rng(16)
        first = BASE + 0.07 * rng.normal(size=BASE.shape)
        second = first + 0.07 * rng.normal(size=BASE.shape)
        zero, one, two = candidate("v0"), candidate("v1", first), candidate("v2", second)
        step = judge(one, zero, zero, tolerance=0.01)
        assert (step.promoted, step.best_version) == (True, "v0")
        assert judge(two, one, one, tolerance=0.01).promoted, "the champion alone would let it by"
        decision = judge(two, one, zero, tolerance=0.01)
        assert (decision.promoted, decision.best_version) == (False, "v0")
        assert "lower than the best's v0, more than the tolerance 0.01" in decision.reason
        assert "champion's" not in decision.reason

    def test_layers_are_scored_as_on_the_scoreboard(self) -> None:
        board = similarity_tables(WORLD, CONFIG).scores.filter(split="test")
        features = WORLD.features["collaborative"]
        predicted = WORLD.features["predicted_factors"]
        comparison = compare_models(
            WORLD,
            candidate("new", predicted.vectors, layer="predicted_factors"),
            # A constant is the mean's affair: the features layer is centred on train.
            candidate("old", features.vectors + 50),
            None,
            CONFIG,
        )
        for measure in ("triplet_accuracy", "ndcg_at_10"):
            row = comparison.table.row(
                by_predicate=(pl.col("measure") == measure)
                & (pl.col("reference_role") == "champion"),
                named=True,
            )
            for figure, name in (
                ("value", "predicted_factors"),
                ("reference_value", "collaborative"),
            ):
                scored = board.filter(measure=measure, feature_set=name)
                assert row[figure] == pytest.approx(scored["value"].item(), abs=2e-3)
                assert row["n_queries"] == scored["n_queries"].item()
            assert row["difference"] == pytest.approx(row["value"] - row["reference_value"])

    def test_within_strata_where_there_are(self) -> None:
        inputs = clustered_world(strata=2)
        table = compare_models(inputs, candidate("new"), candidate("old"), None, CONFIG).table
        assert set(table["measure"]) == {
            "triplet_accuracy_within_stratum",
            "ndcg_at_10_within_stratum",
        }


class TestTable:
    def test_rows_means_and_repetition(self) -> None:
        models = [
            candidate("new", BASE + 0.3 * noise(4)),
            candidate("champion"),
            candidate("best", BASE + 0.2 * noise(5)),
        ]
        heard: list[tuple[int, int]] = []
        comparison = compare_models(
            WORLD, *models, CONFIG, lambda done, total, _: heard.append((done, total))
        )
        table = comparison.table
        assert table.schema == pl.Schema(COMPARISON_SCHEMA)
        assert table.select("reference_role", "reference_version", "measure").rows() == [
            (role, role, measure)
            for role in ("champion", "best")
            for measure in ("triplet_accuracy", "ndcg_at_10")
        ]
        assert set(table["model_version"]) == {"new"}
        assert ((table["low"] < table["difference"]) & (table["difference"] < table["high"])).all()
        assert comparison.means["new"] == pytest.approx(
            table.filter(reference_role="best")["value"].mean()
        )
        assert comparison.means["best"] == pytest.approx(
            table.filter(reference_role="best")["reference_value"].mean()
        )
        assert heard[-1][0] == heard[-1][1]
        shuffled = replace(
            WORLD,
            splits=WORLD.splits.sample(fraction=1, shuffle=True, seed=1),
            events=WORLD.events.sample(fraction=1, shuffle=True, seed=2),
        )
        again = compare_models(shuffled, *models, CONFIG)
        assert again.table.equals(table)
        assert again.means == comparison.means

    def test_intervals_are_paired(self) -> None:
        # Nearly the same model: the difference is known far better than either value.
        table = compare_models(
            WORLD, candidate("new", BASE + 1e-3 * noise(6)), candidate("old"), None, CONFIG
        ).table
        assert (table["high"] - table["low"]).max() < 0.01
        board = similarity_tables(WORLD, CONFIG).scores.filter(
            (pl.col("feature_set") == "collaborative") & (pl.col("measure") == "ndcg_at_10")
        )
        assert (board["high"] - board["low"]).min() > 0.03


class TestTrainedOn:
    def test_projects_of_any_of_the_three_are_left_out(self) -> None:
        a, b, c = (frozenset(sorted(TEST_IDS)[i : i + 10]) for i in (0, 5, 30))
        models = [candidate(name, trained_on=ids) for name, ids in {"a": a, "b": b, "c": c}.items()]
        comparison = compare_models(WORLD, *models, CONFIG)
        assert comparison.n_trained_on == len(a | b | c) == 25
        assert comparison.n_pool == len(TEST_IDS) - 25

    def test_what_was_trained_on_has_no_influence(self) -> None:
        # Wrong about everything that the champion has seen: as good as new on the rest.
        seen = frozenset(sorted(TEST_IDS)[::2])
        is_seen = np.array([id_ in seen for id_ in WORLD.factors.ids])[:, np.newaxis]
        lost = candidate("new", np.where(is_seen, -10 * noise(7), BASE))
        assert not judge(lost, candidate("old")).promoted
        table = compare_models(WORLD, lost, candidate("old", trained_on=seen), None, CONFIG).table
        assert table["difference"].to_list() == [0.0] * 4

    def test_another_project_stands_for_a_look_group_whose_first_was_trained_on(self) -> None:
        degrees = WORLD.events.group_by("project_id").len()
        popular, other = (
            degrees
            .filter(pl.col("project_id").is_in(list(TEST_IDS)))
            .sort("len", "project_id")["project_id"]
            .gather([-1, 0])
            .to_list()
        )
        alike = pl.when(pl.col("project_id") == other).then(pl.lit(popular))
        inputs = replace(
            WORLD,
            covers=WORLD.covers.with_columns(
                alike.otherwise(name).alias(name) for name in ("look_group", "look_component")
            ),
        )
        n = len(TEST_IDS)
        for seen, left in (((), n - 1), ((popular,), n - 1), ((popular, other), n - 2)):
            models = candidate("new", trained_on=frozenset(seen)), candidate("old")
            assert compare_models(inputs, *models, None, CONFIG).n_pool == left

    def test_the_exact_duplicate_of_a_trained_project_is_out(self) -> None:
        # "z" was trained on, and today its bytes stand under a smaller id.
        twin = sorted(TEST_IDS)[3]
        representatives = pl.concat([
            WORLD.representatives,
            pl.DataFrame({"project_id": ["z"], "representative": [twin]}),
        ])
        inputs = replace(WORLD, representatives=representatives)
        models = candidate("new", trained_on=frozenset({"z"})), candidate("old")
        comparison = compare_models(inputs, *models, None, CONFIG)
        assert (comparison.n_trained_on, comparison.n_pool) == (1, len(TEST_IDS) - 1)

    @pytest.mark.parametrize("left", [0, 1, 2])
    def test_too_little_is_left_to_judge_by(self, left: int) -> None:
        # Two strangers to each other are a pool without a single query.
        taste = WORLD.features["collaborative"].rows(sorted(TEST_IDS))
        first = sorted(TEST_IDS)[0]
        far = sorted(TEST_IDS)[int(np.argmin((taste - 3) @ (taste[0] - 3)))]
        seen = TEST_IDS - frozenset([first, far][:left])
        comparison = compare_models(
            WORLD, candidate("new", trained_on=seen), candidate("old"), None, CONFIG
        )
        assert comparison.n_pool == left
        decision = decide(comparison, TOLERANCE)
        assert (decision.promoted, decision.best_version) == (False, "old")
        assert decision.reason.startswith("new cannot be judged")
        assert f"{len(TEST_IDS) - left} test projects were trained on" in decision.reason


class TestSpecialCases:
    def test_the_first_model_is_promoted(self) -> None:
        assert judge(candidate("new"), None) == Decision(True, "new", "the first model")

    def test_the_champion_is_not_compared_with_itself(self) -> None:
        decision = judge(candidate("old"), candidate("old"), candidate("best"))
        assert (decision.promoted, decision.best_version) == (False, "best")
        assert "nothing to compare" in decision.reason

    def test_a_best_that_does_not_serve_meets_the_champion_alone(self) -> None:
        comparison = compare_models(
            WORLD, candidate("best"), candidate("old"), candidate("best"), CONFIG
        )
        assert set(comparison.table["reference_role"]) == {"champion"}
        assert decide(comparison, TOLERANCE).promoted

    def test_other_layers_and_missing_vectors_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"one of the layers .* got 'ensemble'"):
            candidate("new", layer="ensemble")
        kept = [id_ for id_ in WORLD.factors.ids if id_ != min(TEST_IDS)]
        vectors = IndexedVectors(tuple(kept), candidate("new").vectors.rows(kept))
        short = replace(candidate("new"), vectors=vectors)
        with pytest.raises(DataError, match="have no vector"):
            judge(short, candidate("old"))

    def test_configuration(self) -> None:
        assert PromotionConfig().model_dump() == {"tolerance": 0.005, "keep": 5}
        for bad in ({"tolerance": -0.1}, {"keep": 0}, {"other": 1}):
            with pytest.raises(ValidationError):
                PromotionConfig(**bad)


def compared(*rows: tuple, champion: str = "old", best: str = "old") -> Comparison:
    """Rows of (role, measure, difference, low, high, n_queries)."""
    table = pl.DataFrame(
        [
            {
                "model_version": "new",
                "reference_role": role,
                "reference_version": {"champion": champion, "best": best}[role],
                "measure": measure,
                "difference": difference,
                "low": low,
                "high": high,
                "n_queries": n,
            }
            for role, measure, difference, low, high, n in rows
        ],
        schema=COMPARISON_SCHEMA,
    )
    return Comparison("new", champion, best, table, {"new": 0.6, "old": 0.6, "top": 0.6}, 9, 0)


class TestDecision:
    @pytest.mark.parametrize(
        ("difference", "low", "high", "promoted"),
        [
            (-0.005, -0.02, 0.01, True),
            (-0.0051, -0.02, 0.01, False),
            (-0.001, -0.002, 0.0, True),
            (-0.001, -0.002, -0.0001, False),
            (0.02, 0.01, 0.03, True),
            (-0.004, None, None, True),
            (-0.006, None, None, False),
        ],
    )
    @pytest.mark.parametrize("role", ["champion", "best"])
    @pytest.mark.parametrize("measure", ["triplet_accuracy", "ndcg_at_10"])
    def test_one_row_is_enough(self, role, measure, difference, low, high, promoted) -> None:
        rows = [
            (r, m, difference, low, high, 50)
            if (r, m) == (role, measure)
            else (r, m, 0.0, -0.1, 0.1, 50)
            for r in ("champion", "best")
            for m in ("triplet_accuracy", "ndcg_at_10")
        ]
        decision = decide(compared(*rows, best="top"), TOLERANCE)
        assert decision.promoted == promoted
        # Means are equal: the best stays.
        assert decision.best_version == "top"
        if not promoted:
            name = "old" if role == "champion" else "top"
            assert f"{measure} is {-difference:.4f} " in decision.reason
            assert f"lower than the {role}'s {name}" in decision.reason

    def test_every_loss_is_told(self) -> None:
        decision = decide(
            compared(
                ("champion", "ndcg_at_10", -0.021, -0.032, -0.010, 50),
                ("best", "ndcg_at_10", -0.03, -0.07, 0.01, 50),
                best="top",
            ),
            TOLERANCE,
        )
        assert decision.reason == (
            "ndcg_at_10 is 0.0210 [0.0100, 0.0320] lower than the champion's old, more than the "
            "tolerance 0.005 and with an interval below zero; ndcg_at_10 is 0.0300 "
            "[-0.0100, 0.0700] lower than the best's top, more than the tolerance 0.005"
        )

    def test_a_measure_without_queries_is_named_and_decides_nothing(self) -> None:
        comparison = compared(
            ("champion", "triplet_accuracy", None, None, None, 0),
            ("champion", "ndcg_at_10", 0.01, -0.01, 0.03, 20),
        )
        decision = decide(comparison, TOLERANCE)
        assert decision.promoted
        assert decision.reason.endswith("no query can answer triplet_accuracy")

    def test_a_model_may_be_the_best_and_yet_lose_on_one_measure(self) -> None:
        comparison = replace(
            compared(
                ("champion", "triplet_accuracy", -0.01, -0.03, 0.01, 50),
                ("champion", "ndcg_at_10", 0.05, 0.01, 0.09, 50),
            ),
            means={"new": 0.62, "old": 0.6},
        )
        decision = decide(comparison, TOLERANCE)
        assert (decision.promoted, decision.best_version) == (False, "new")

    @given(
        st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=4),
        st.floats(0, 0.05),
        st.floats(0, 0.05),
    )
    def test_more_tolerance_never_stops_a_model(
        self, differences: list[float], tolerance: float, more: float
    ) -> None:
        rows = [
            (role, f"m{i}", d, d - 0.03, d + 0.03, 9)
            for i, d in enumerate(differences)
            for role in ("champion", "best")
        ]
        strict, lax = (
            decide(compared(*rows, best="top"), t) for t in (tolerance, tolerance + more)
        )
        assert strict.promoted <= lax.promoted
        assert strict.promoted == all(d >= -tolerance and d + 0.03 >= 0 for d in differences)
