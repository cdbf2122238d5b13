"""The scoreboard as text: which rows, in which order, and what stands in a cell."""

import polars as pl
import pytest

from cf_pipeline.benchmark.report import (
    markdown,
    scoreboard,
    summarize_similarity,
    task_table,
)
from cf_pipeline.benchmark.similarity import SimilarityTables
from cf_pipeline.benchmark.tables import DIFFERENCE_SCHEMA, SCORE_SCHEMA

MEASURES = ("ndcg_at_10", "ndcg_at_10_within_stratum", "same_field_at_10", "triplet_accuracy")
NAMES = (
    "latent_factors",
    "color",
    "user:style",
    "chance",
    "ensemble",
    "predicted_factors",
    "imagenet",
    "split_group",
    "my_lab.features:Gist",
)


def score(name, measure, split="test", value=0.5, bounds=(0.4, 0.6), n_queries=30):
    return {
        "split": split,
        "feature_set": name,
        "measure": measure,
        "value": value,
        "low": bounds[0],
        "high": bounds[1],
        "n_queries": n_queries,
        "n_groups": 7,
        "chosen": name == "ensemble",
    }


def difference(name, measure, figure, bounds, reference="imagenet", split="test"):
    return {
        "split": split,
        "feature_set": name,
        "reference": reference,
        "measure": measure,
        "difference": figure,
        "low": bounds[0],
        "high": bounds[1],
    }


@pytest.fixture
def scores():
    rows = [score(name, measure) for name in NAMES for measure in MEASURES]
    rows += [score("color", "ndcg_at_10", split="validation", value=0.9)]
    # A data set without strata: the measure exists and no query answers it.
    rows = [
        {**row, "value": None, "low": None, "high": None, "n_queries": 0}
        if row["measure"] == "ndcg_at_10_within_stratum"
        else row
        for row in rows
    ]
    return pl.DataFrame(rows, schema=SCORE_SCHEMA)


@pytest.fixture
def differences():
    rows = [
        difference("ensemble", "triplet_accuracy", 0.1234, (0.01, 0.2)),
        difference("color", "triplet_accuracy", -0.1, (-0.2, 0.0)),
        difference("ensemble", "triplet_accuracy", 0.7, (0.6, 0.8), reference="color"),
        difference("ensemble", "triplet_accuracy", 0.8, (0.7, 0.9), split="validation"),
    ]
    return pl.DataFrame(rows, schema=DIFFERENCE_SCHEMA)


class TestScoreboard:
    def test_rows_go_from_what_knows_nothing_to_what_is_reachable(self, scores, differences):
        _, rows = scoreboard(scores.reverse(), differences, "test", "imagenet")
        assert [row[0] for row in rows] == [
            "chance",
            "split_group",
            "color",
            "imagenet",
            # Sets from outside follow the references that ship, by name.
            "my_lab.features:Gist",
            "user:style",
            "predicted_factors",
            "ensemble *",
            "latent_factors",
        ]

    def test_headline_measures_first_and_only_those_that_are_answered(self, scores, differences):
        titles, rows = scoreboard(scores, differences, "test", "imagenet")
        assert titles == [
            "feature set",
            "triplet_accuracy",
            "minus imagenet",
            "ndcg_at_10",
            "minus imagenet",
        ]
        assert {len(row) for row in rows} == {len(titles)}

    def test_cells_and_the_star_at_the_chosen_row_alone(self, scores, differences):
        _, rows = scoreboard(scores, differences, "test", "imagenet")
        cells = {row[0]: row[1:] for row in rows}
        assert [name for name in cells if "*" in name] == ["ensemble *"]
        assert cells["ensemble *"] == [
            "0.500 [0.400, 0.600]",
            "+0.123 [+0.010, +0.200]",
            "0.500 [0.400, 0.600]",
            "",
        ]
        assert cells["color"][1] == "-0.100 [-0.200, +0.000]"
        # No row is compared with itself.
        assert cells["imagenet"][1] == ""

    def test_split_and_reference_choose(self, scores, differences):
        titles, rows = scoreboard(scores, differences, "test", "color")
        assert titles[2] == "minus color"
        assert dict((row[0], row[2]) for row in rows)["ensemble *"] == "+0.700 [+0.600, +0.800]"
        _, rows = scoreboard(scores, differences, "validation", "imagenet")
        assert rows == [["color", "0.900 [0.400, 0.600]", ""]]

    def test_values_without_an_interval_stand_alone(self, differences):
        one = pl.DataFrame(
            [score("chance", "ndcg_at_10", value=0.25, bounds=(None, None))], schema=SCORE_SCHEMA
        )
        assert scoreboard(one, differences, "test", "imagenet")[1] == [["chance", "0.250", ""]]

    def test_nothing_at_all(self, scores, differences):
        empty = scores.clear()
        assert scoreboard(empty, differences.clear(), "test", "imagenet") == (["feature set"], [])


def test_markdown():
    text = markdown(["feature set", "accuracy"], [["color", "0.5"], ["random", ""]])
    assert text.splitlines() == [
        "| feature set | accuracy |",
        "| --- | --- |",
        "| color | 0.5 |",
        "| random |  |",
    ]


def test_task_table_is_feature_sets_by_tasks():
    rows = [
        {
            "task": task,
            "feature_set": name,
            "metric": metric,
            "value": value,
            "low": value - 0.1,
            "high": value + 0.1,
        }
        for task, name, metric, value in [
            ("ava_style", "imagenet", "map", 0.9),
            ("noto_emoji", "imagenet", "mean_class_accuracy", 0.8),
            ("noto_emoji", "random", "mean_class_accuracy", 0.2),
            ("noto_emoji", "random", "map", 0.1),
        ]
    ]
    titles, table = task_table(pl.DataFrame(rows))
    assert titles == ["feature set", "ava_style, map", "noto_emoji, mean_class_accuracy"]
    assert table == [
        ["random", "", "0.200 [0.100, 0.300]"],
        ["imagenet", "0.900 [0.800, 1.000]", "0.800 [0.700, 0.900]"],
    ]


def test_summary_for_the_ui(scores, differences):
    pools = pl.DataFrame({"split": ["test"], "condition": ["no truth"], "count": [1234]})
    forms = pl.DataFrame({"form": ["a", "b"], "exported": [False, True]})
    leak = {"split": "test", "feature_set": "imagenet", "quantity": "norm", "correlation": 0.25}
    leaks = pl.DataFrame([leak, {**leak, "quantity": "occurrence", "correlation": None}])
    result = SimilarityTables(
        scores, differences, pl.DataFrame(), forms, leaks, "ensemble", pools, 99
    )
    facts = summarize_similarity(result)
    assert facts["test_triplet_accuracy"] == 0.5
    assert "test_ndcg_at_10_within_stratum" not in facts
    assert facts["chosen_layer"] == "ensemble"
    assert facts["train_projects"] == 99
    assert facts["exported_form"] == "b"
    assert facts["popularity_leaks"].splitlines()[-1] == "| imagenet | +0.25 |  |"
    assert facts["scoreboard"] == markdown(*scoreboard(scores, differences, "test", "imagenet"))
    assert facts["pools"].splitlines()[-1] == "| test | no truth | 1,234 |"
