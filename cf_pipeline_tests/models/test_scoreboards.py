"""Scores as one long table, and as boards of one measure each."""

from __future__ import annotations

import polars as pl
import pytest

from cf_pipeline.benchmark.scoreboard import SCORES_SCHEMA
from cf_pipeline.errors import DataError
from cf_pipeline.models.score_history import history_boards, score_history
from cf_pipeline.models.scoreboards import boards, scores_of, talk_board
from cf_pipeline_tests.models.trained_home import DIFFERENCES, TrainedHome, empty

PROBED = (
    "Linear probe (3 images scored; 2,000 images listed, 1,900 found, 1,800 used; split by look, "
    "5 times)"
)


def score_similarity(home: TrainedHome, model: str) -> None:
    rows = [
        {
            "split": split,
            "feature_set": name,
            "measure": measure,
            "value": value,
            "low": 0.4,
            "high": 0.7,
            "n_queries": 9,
            "n_groups": 8,
            "chosen": name == "predicted_factors",
        }
        for split in ("validation", "test")
        for measure, value in (
            ("ndcg_at_10", 0.5),
            ("triplet_accuracy", 0.6),
            ("same_field_at_10", None),
        )
        for name in ("predicted_factors", "imagenet", "chance")
    ]
    row = {"split": "test", "feature_set": "predicted_factors", "measure": "triplet_accuracy"}
    apart = [
        {**row, "reference": "imagenet", "difference": 0.1, "low": -0.1, "high": 0.3},
        {**row, "reference": "color", "difference": 0.9, "low": 0.8, "high": 1.0},
    ]
    tables = {
        "similarity_scores": pl.DataFrame(rows),
        "similarity_differences": pl.DataFrame(apart, schema=DIFFERENCES),
    }
    others = empty("similarity_queries", "exported_forms", "popularity_leaks")
    of_model = {n: t.with_columns(model_version=pl.lit(model)) for n, t in tables.items()}
    home.publish("similarity_scores", model, **of_model, **others)


def score_factors(home: TrainedHome) -> None:
    rows = [
        {
            "model": model,
            "metric": metric,
            "value": 0.3,
            "low": 0.2,
            "high": 0.4,
            "n_users": 50,
            "protocol": "hidden_events",
            "denominator": "all",
        }
        for metric in ("ndcg_at_20", "recall_at_20")
        for model in ("popularity", "factors")
    ]
    home.publish("factor_scores", factor_scores=pl.DataFrame(rows), **empty("factor_differences"))


def score_others(home: TrainedHome, model: str) -> None:
    value = {"value": 0.7, "low": 0.6, "high": 0.8, "model_version": model}
    probe = {"task": "emoji", "feature_set": "imagenet", "metric": "accuracy", "n_train": 4}
    told = {"variant": None, "split_rule": "look", "deviation": 0.02, "note": "was told"}
    counts = {"n_listed": 2000, "n_found": 1900, "n_used": 1800, "n_draws": 5}
    scores = pl.DataFrame(
        [{**probe, "n_test": 3, **value, **told, **counts}],
        schema_overrides={"variant": pl.String, "deviation": pl.Float64, "note": pl.String},
    )
    others = empty("benchmark_differences", "benchmark_classes")
    home.publish("benchmark_scores", model, benchmark_scores=scores, **others)
    cold = {"split": "test", "feature_set": "chance", "metric": "auc", "n_users": 6}
    home.publish("cold_start_scores", model, cold_start_scores=pl.DataFrame([{**cold, **value}]))


def test_factors_come_first_and_a_board_has_one_measure(trained: TrainedHome) -> None:
    model = trained.train(1)
    score_similarity(trained, model)
    score_factors(trained)
    score_others(trained, model)
    scores = scores_of(trained.home)
    assert dict(scores.schema) == SCORES_SCHEMA
    shown = boards(scores)
    assert [(board.title, board.titles[1]) for board in shown] == [
        ("Factors rank hidden events (50 users)", "recall_at_20"),
        ("Factors rank hidden events (50 users)", "ndcg_at_20"),
        ("Image similarity, validation (9 queries of 8 groups)", "triplet_accuracy"),
        ("Image similarity, validation (9 queries of 8 groups)", "ndcg_at_10"),
        ("Image similarity, test (9 queries of 8 groups)", "triplet_accuracy"),
        ("Image similarity, test (9 queries of 8 groups)", "ndcg_at_10"),
        (PROBED, "emoji, accuracy"),
        ("New projects for users, test (6 users)", "auc"),
    ]
    assert shown[0].rows == [
        ["factors", "0.300 [0.200, 0.400]"],
        ["popularity", "0.300 [0.200, 0.400]"],
    ]
    assert shown[6].notes == ("imagenet: was told",)
    assert shown[6].rows == [["imagenet", "0.700 [0.600, 0.800], 0.020 between draws"]]
    triplets = shown[4]
    assert triplets.titles == ["feature set", "triplet_accuracy", "minus imagenet"]
    assert triplets.rows == [
        ["chance", "0.600 [0.400, 0.700]", ""],
        ["imagenet", "0.600 [0.400, 0.700]", ""],
        ["predicted_factors *", "0.600 [0.400, 0.700]", "+0.100 [-0.100, +0.300]"],
    ]
    widest = max(
        sum(max(len(row[column]) for row in [b.titles, *b.rows]) + 2 for column in range(3))
        for b in shown
        if len(b.titles) == 3
    )
    assert widest <= 80


def test_a_model_is_named_or_the_newest(trained: TrainedHome) -> None:
    old, new = trained.train(1), trained.train(2)
    score_similarity(trained, old)
    assert scores_of(trained.home).is_empty()
    assert boards(scores_of(trained.home)) == []
    assert scores_of(trained.home, old[:5]).height == 18
    score_factors(trained)
    assert set(scores_of(trained.home, old[:5])["benchmark"]) == {"similarity"}
    assert set(scores_of(trained.home)["benchmark"]) == {"factors"}
    with pytest.raises(DataError, match=f"no version begins with 'x'; there are .*{new}"):
        scores_of(trained.home, "x")


def test_nothing_was_trained(trained: TrainedHome) -> None:
    with pytest.raises(DataError, match="no trained model in"):
        scores_of(trained.home)


def test_the_talks_table_stands_beside_ours_and_says_whose_is_whose() -> None:
    rows = pl.DataFrame(
        [
            ("probe", task, metric, name, value)
            for task, metric, value in (
                ("wikiart7", "map", 0.5),
                ("wikipaintings", "map", 0.4),
                ("caltech101", "map", 0.2),
                ("caltech101", "mean_class_accuracy", 0.6),
            )
            for name in ("collaborative", "imagenet")
        ],
        schema=["benchmark", "task", "metric", "name", "value"],
        orient="row",
    )
    board = talk_board(rows)
    assert board is not None
    assert board.titles == ["the talk's", "ours", "collaborative", "imagenet", "metaclass"]
    none, dash = "", "\u2013"
    assert board.rows == [
        ["Flickr Style", none, f"{dash} (37.2)", f"{dash} (37.1)", f"{dash} (32.8)"],
        ["Wiki Paintings", "wikipaintings, map", "40.0 (41.4)", "40.0 (40.7)", f"{dash} (38.6)"],
        ["AVA Style", none, f"{dash} (56.0)", f"{dash} (51.3)", f"{dash} (53.9)"],
        [
            "Caltech-256",
            "caltech101, mean_class_accuracy",
            "60.0 (57.6)",
            "60.0 (68.9)",
            f"{dash} (48.9)",
        ],
    ]
    assert "stand in for larger sets" in board.notes[0]
    assert talk_board(rows.clear()) is None


def test_history_is_of_all_models_in_the_order_of_their_training(trained: TrainedHome) -> None:
    with pytest.raises(DataError, match="no score in"):
        score_history(trained.home)
    old, new = trained.train(1), trained.train(2)
    for model in (new, old):
        score_similarity(trained, model)
        score_others(trained, model)
    rows = score_history(trained.home)
    assert rows["model_version"].unique(maintain_order=True).to_list() == [old, new]
    assert set(rows["measure"]) == {"triplet_accuracy", "ndcg_at_10"}  # accuracy is no primary one
    boards_of = history_boards(rows)
    assert [board.title for board in boards_of] == ["ndcg_at_10", "triplet_accuracy"]
    assert boards_of[0].titles == ["trained (UTC)", "model", "predicted_factors", "imagenet"]
    assert [row[1] for row in boards_of[0].rows] == [old, new]
    assert boards_of[0].rows[0][2] == "0.500 [0.400, 0.700]"
