"""How models compare: planted ones of known quality, what they were fitted to, and the table."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.deciding import Decision, decide
from cf_pipeline.benchmark.inputs import PoolInputs
from cf_pipeline.benchmark.promotion import (
    COMPARISON_SCHEMA,
    Candidate,
    compare_models,
    fitted_projects,
)
from cf_pipeline.benchmark.similarity import similarity_tables
from cf_pipeline.errors import DataError
from cf_pipeline.vectors import IndexedVectors
from cf_pipeline_tests.benchmark.similarity_worlds import clustered_world

CONFIG = BenchmarkConfig(n_resamples=500)
BOARD = clustered_world()
WORLD = BOARD.judged
BASE = BOARD.features["collaborative"].vectors
VALIDATION_IDS = frozenset(WORLD.splits.filter(split="validation")["project_id"])


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
    inputs: PoolInputs = WORLD,
) -> Decision:
    return decide(compare_models(inputs, challenger, champion, best, CONFIG))


class TestPlanted:
    def test_a_shuffled_model_is_not_promoted_and_the_reason_has_figures(self) -> None:
        shuffled = candidate("shuffled", np.random.default_rng(0).permutation(BASE))
        decision = judge(shuffled, candidate("abc123"))
        assert not decision.promoted
        assert decision.best_version == "abc123"
        for measure in ("triplet_accuracy", "ndcg_at_10"):
            assert f"{measure} is 0.2" in decision.reason
        assert "lower than the champion's abc123" in decision.reason
        assert "best's" not in decision.reason, "the champion is the best: said once"

    def test_an_equal_model_is_promoted(self) -> None:
        again = candidate("again", BASE + 1e-3 * noise(1))
        decision = judge(again, candidate("champion"), candidate("champion"))
        assert decision.promoted
        assert decision.reason.startswith("no interval below zero; triplet_accuracy ")
        assert decision.best_version == "champion", "noise does not move the anchor"

    def test_a_better_model_is_promoted_and_becomes_the_best(self) -> None:
        champion, best = candidate("c", BASE + noise(2)), candidate("b", BASE + 0.9 * noise(3))
        decision = judge(candidate("new"), champion, best)
        assert decision.promoted
        assert decision.best_version == "new"
        assert "against the champion's c" in decision.reason
        assert "against the best's b" in decision.reason

    def test_small_losses_add_up_until_they_are_refused(self) -> None:
        # Each step is within the noise of the model before; all of them together are not.
        rng = np.random.default_rng(0)
        vectors, champion, n_steps = BASE, candidate("v0"), 0
        anchor = champion
        while n_steps < 30:
            vectors = vectors + 0.06 * rng.normal(size=BASE.shape)
            challenger = candidate(f"v{n_steps + 1}", vectors)
            decision = judge(challenger, champion, anchor)
            assert decision.best_version == "v0"
            if not decision.promoted:
                break
            champion, n_steps = challenger, n_steps + 1
        assert n_steps >= 2
        assert "lower than the best's v0" in decision.reason
        assert "champion's" not in decision.reason, "the champion alone would let it by"

    def test_layers_are_scored_as_on_the_scoreboard(self) -> None:
        board = similarity_tables(BOARD, CONFIG).scores
        features = BOARD.features["collaborative"]
        predicted = BOARD.features["predicted_factors"]
        comparison = compare_models(
            WORLD,
            candidate("new", predicted.vectors, layer="predicted_factors"),
            # A constant is the mean's affair: the features layer is centred on train.
            candidate("old", features.vectors + 50),
            None,
            CONFIG,
        )
        rows = comparison.table.filter(reference_role="champion").to_dicts()
        assert [(row["split"], row["measure"]) for row in rows] == [
            (split, measure)
            for split in ("validation", "test")
            for measure in ("triplet_accuracy", "ndcg_at_10")
        ]
        for row in rows:
            for figure, name in (
                ("value", "predicted_factors"),
                ("reference_value", "collaborative"),
            ):
                scored = board.filter(split=row["split"], measure=row["measure"], feature_set=name)
                assert row[figure] == pytest.approx(scored["value"].item(), abs=2e-3)
                assert row["n_queries"] == scored["n_queries"].item()
            assert row["difference"] == pytest.approx(row["value"] - row["reference_value"])

    def test_within_strata_where_there_are(self) -> None:
        inputs = clustered_world(strata=2).judged
        table = compare_models(inputs, candidate("new"), candidate("old"), None, CONFIG).table
        within = {f"{measure}_within_stratum" for measure in ("triplet_accuracy", "ndcg_at_10")}
        assert set(table["measure"]) == within


class TestTable:
    def test_rows_and_repetition(self) -> None:
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
        assert table.select("split", "reference_role", "reference_version", "measure").rows() == [
            (split, role, role, measure)
            for split in ("validation", "test")
            for role in ("champion", "best")
            for measure in ("triplet_accuracy", "ndcg_at_10")
        ]
        assert set(table["model_version"]) == {"new"}
        assert ((table["low"] < table["difference"]) & (table["difference"] < table["high"])).all()
        assert heard[-1][0] == heard[-1][1]
        shuffled = replace(
            WORLD,
            splits=WORLD.splits.sample(fraction=1, shuffle=True, seed=1),
            events=WORLD.events.sample(fraction=1, shuffle=True, seed=2),
        )
        assert compare_models(shuffled, *models, CONFIG).table.equals(table)

    def test_two_references_share_what_intervals_may_leave_outside(self) -> None:
        models = candidate("new", BASE + 0.3 * noise(4)), candidate("old")
        one, same = (
            compare_models(WORLD, *models, best, CONFIG).table for best in (None, models[1])
        )
        assert one.equals(same)
        two = compare_models(WORLD, *models, candidate("best", BASE + noise(5)), CONFIG).table
        key = ["split", "measure", "reference_role"]
        both = one.filter(reference_role="champion").join(two, on=key, suffix="_of_two")
        assert both["difference"].to_list() == both["difference_of_two"].to_list()
        # 97.5 % instead of 95 %.
        assert (both["low_of_two"] < both["low"]).all()
        assert (both["high_of_two"] > both["high"]).all()

    def test_intervals_are_paired(self) -> None:
        # Nearly the same model: the difference is known far better than either value.
        table = compare_models(
            WORLD, candidate("new", BASE + 1e-3 * noise(6)), candidate("old"), None, CONFIG
        ).table
        assert (table["high"] - table["low"]).max() < 0.01
        board = similarity_tables(BOARD, CONFIG).scores.filter(
            (pl.col("feature_set") == "collaborative") & (pl.col("measure") == "ndcg_at_10")
        )
        assert (board["high"] - board["low"]).min() > 0.03


class TestFittedTo:
    def test_projects_of_any_of_the_three_are_left_out(self) -> None:
        a, b, c = (frozenset(sorted(VALIDATION_IDS)[i : i + 10]) for i in (0, 5, 30))
        models = [candidate(name, trained_on=ids) for name, ids in {"a": a, "b": b, "c": c}.items()]
        found = compare_models(WORLD, *models, CONFIG)
        assert (found.n_trained_on, found.n_pool) == (25, len(VALIDATION_IDS) - 25)

    def test_what_only_stopped_a_network_is_judged(self) -> None:
        told = ["train", "validation", "validation", None, None, None]
        seen = pl.DataFrame({"project_id": list("tvwxyz"), "split": told})
        now = ["validation", "train", "validation", "validation", "test"]
        today = pl.DataFrame({"project_id": list("tvwxy"), "split": now})
        # t was fitted to, whatever it is now; of x, y and z (gone) only today's split tells.
        assert fitted_projects(seen, today) == {"t", "y", "z"}
        assert fitted_projects(seen.clear(), today) == frozenset()

    def test_what_was_trained_on_has_no_influence(self) -> None:
        # Wrong about everything that the champion has seen: as good as new on the rest.
        seen = frozenset(sorted(VALIDATION_IDS)[::2])
        is_seen = np.array([id_ in seen for id_ in WORLD.factors.ids])[:, np.newaxis]
        lost = candidate("new", np.where(is_seen, -10 * noise(7), BASE))
        assert not judge(lost, candidate("old")).promoted
        table = compare_models(WORLD, lost, candidate("old", trained_on=seen), None, CONFIG).table
        validation = table.filter(split="validation")
        assert validation["difference"].to_list() == [0.0] * 4

    def test_another_project_stands_for_a_look_group_whose_first_was_trained_on(self) -> None:
        degrees = WORLD.events.group_by("project_id").len()
        popular, other = (
            degrees
            .filter(pl.col("project_id").is_in(list(VALIDATION_IDS)))
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
        n = len(VALIDATION_IDS)
        for seen, left in (((), n - 1), ((popular,), n - 1), ((popular, other), n - 2)):
            models = candidate("new", trained_on=frozenset(seen)), candidate("old")
            assert compare_models(inputs, *models, None, CONFIG).n_pool == left

    def test_the_exact_duplicate_of_a_trained_project_is_out(self) -> None:
        # "z" was trained on, and today its bytes stand under a smaller id.
        twin = sorted(VALIDATION_IDS)[3]
        representatives = pl.concat([
            WORLD.representatives,
            pl.DataFrame({"project_id": ["z"], "representative": [twin]}),
        ])
        inputs = replace(WORLD, representatives=representatives)
        models = candidate("new", trained_on=frozenset({"z"})), candidate("old")
        comparison = compare_models(inputs, *models, None, CONFIG)
        assert (comparison.n_trained_on, comparison.n_pool) == (1, len(VALIDATION_IDS) - 1)

    @pytest.mark.parametrize("left", [0, 1, 2])
    def test_too_little_is_left_to_judge_by(self, left: int) -> None:
        # Two strangers to each other are a pool without a single query.
        taste = BOARD.features["collaborative"].rows(sorted(VALIDATION_IDS))
        first = sorted(VALIDATION_IDS)[0]
        far = sorted(VALIDATION_IDS)[int(np.argmin((taste - 3) @ (taste[0] - 3)))]
        seen = VALIDATION_IDS - frozenset([first, far][:left])
        # Worse on test, which nobody asks.
        worse = candidate("new", noise(8), trained_on=seen)
        comparison = compare_models(WORLD, worse, candidate("old"), None, CONFIG)
        assert comparison.n_pool == left
        test = comparison.table.filter(split="test", reference_role="champion")
        assert (test["high"] < 0).all()
        decision = decide(comparison)
        assert (decision.promoted, decision.best_version) == (False, "old")
        assert decision.reason.startswith("new cannot be judged")
        assert f"fitted to {len(VALIDATION_IDS) - left} validation projects" in decision.reason

    def test_test_chooses_nothing(self) -> None:
        held = np.isin(WORLD.factors.ids, list(VALIDATION_IDS))[:, np.newaxis]
        for vectors, promoted in (
            (np.where(held, BASE, noise(9)), True),
            (np.where(held, noise(9), BASE), False),
        ):
            comparison = compare_models(
                WORLD, candidate("new", vectors), candidate("old"), None, CONFIG
            )
            assert decide(comparison).promoted is promoted
            lost = comparison.table.filter(pl.col("high") < 0)["split"].unique().to_list()
            assert lost == ["test" if promoted else "validation"]


class TestSpecialCases:
    def test_with_nothing_to_compare_with_there_are_no_rows(self) -> None:
        for models in ((candidate("new"), None), (candidate("old"), candidate("old"))):
            comparison = compare_models(WORLD, *models, candidate("best"), CONFIG)
            assert comparison.table.is_empty()
            assert decide(comparison).promoted is (models[1] is None)

    def test_a_best_that_does_not_serve_meets_the_champion_alone(self) -> None:
        comparison = compare_models(
            WORLD, candidate("best"), candidate("old"), candidate("best"), CONFIG
        )
        assert set(comparison.table["reference_role"]) == {"champion"}
        assert decide(comparison).promoted

    def test_other_layers_and_missing_vectors_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"one of the layers .* got 'ensemble'"):
            candidate("new", layer="ensemble")
        kept = [id_ for id_ in WORLD.factors.ids if id_ != min(VALIDATION_IDS)]
        vectors = IndexedVectors(tuple(kept), candidate("new").vectors.rows(kept))
        short = replace(candidate("new"), vectors=vectors)
        with pytest.raises(DataError, match="have no vector"):
            judge(short, candidate("old"))
