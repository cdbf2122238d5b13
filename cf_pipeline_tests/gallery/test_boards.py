"""Tables and sentences say what the rows say."""

from __future__ import annotations

import polars as pl
import pytest

from cf_pipeline.benchmark.scoreboard import score_rows
from cf_pipeline.gallery.boards import (
    COLD,
    FACTORS,
    PROBE,
    SIMILARITY,
    all_boards,
    figure,
    headlines_of,
    percent,
)
from cf_pipeline.gallery.content import Interval
from cf_pipeline.gallery.meanings import meanings_of

BOUNDS = {"low": 0.2, "high": 0.4}
CLASSES = pl.DataFrame(
    [
        ("shapes", name, "accuracy", label, value, n)
        for label, n, ours, theirs in (("disc", 9, 0.8, 0.2), ("ring", 4, 0.5, 0.5),
                                       ("star", 7, 0.1, 0.3), ("line", 3, 0.0, 0.9))
        for name, value in (("collaborative", ours), ("imagenet", theirs), ("color", 0.0))
    ],
    schema=["task", "feature_set", "metric", "class", "value", "n_test"],
    orient="row",
)  # fmt: skip


def scores(**changed: object) -> dict[str, pl.DataFrame]:
    similarity = [
        {
            "split": split,
            "feature_set": name,
            "measure": measure,
            "value": value,
            **BOUNDS,
            "n_queries": 7,
            "n_groups": 3,
            "chosen": name == "collaborative",
        }
        for split in ("validation", "test")
        for measure in ("triplet_accuracy", "ndcg_at_10")
        for name, value in (("collaborative", 0.3), ("imagenet", 0.25), ("my_lab:Gist", 0.1))
    ]
    apart = [
        {
            "split": "test",
            "feature_set": "collaborative",
            "reference": "imagenet",
            "measure": "ndcg_at_10",
            "difference": 0.05,
            "low": 0.01,
            "high": 0.09,
            **changed,
        }
    ]
    factors = [
        {"model": m, "metric": "recall_at_20", "value": v, **BOUNDS, "n_users": 1234}
        for m, v in (("factors", 0.38), ("popularity", 0.03))
    ]
    probes = [
        {
            "task": task,
            "feature_set": name,
            "metric": metric,
            "value": value,
            **BOUNDS,
            "n_train": 10,
            "n_test": 5,
            "n_listed": 1200,
            "n_found": 1100,
            "n_used": 1000,
            "n_draws": 1,
            "split_rule": "look",
            "variant": None,
            "note": None if name == "collaborative" else "its makers were told",
        }
        for task, metric in (("shapes", "mean_class_accuracy"), ("shapes", "map"), ("tags", "map"))
        for name, value in (("collaborative", 0.6), ("imagenet", 0.5))
    ]
    cold = [
        {"split": "test", "feature_set": name, "metric": "auc", "value": v, **BOUNDS, "n_users": 9}
        for name, v in (("predicted_factors", 0.7), ("imagenet", 0.6), ("popularity", None))
    ]
    return {
        "similarity_scores": pl.DataFrame(similarity),
        "similarity_differences": pl.DataFrame(apart),
        "factor_scores": pl.DataFrame(factors),
        "benchmark_scores": pl.DataFrame(probes),
        "benchmark_differences": pl.DataFrame([
            {
                "task": "shapes",
                "feature_set": "collaborative",
                "reference": "imagenet",
                "metric": "mean_class_accuracy",
                "difference": 0.1,
                **BOUNDS,
            }
        ]),
        "cold_start_scores": pl.DataFrame(cold),
    }


def test_factors_first_and_the_primary_measure_before_others() -> None:
    boards = all_boards(score_rows(scores()), "ndcg_at_10", CLASSES)
    assert list(boards) == [FACTORS, SIMILARITY, PROBE, COLD]
    assert [(b.measure, b.is_first) for b in boards[SIMILARITY]] == [
        ("ndcg_at_10", True),
        ("triplet_accuracy", False),
    ]
    first = boards[SIMILARITY][0]
    assert first.title == "ndcg_at_10, test, 7 queries of 3 groups"
    assert [row.name for row in first.rows] == ["imagenet", "my_lab:Gist", "collaborative"]
    assert [row.marked for row in first.rows] == [False, False, True]
    assert first.rows[-1].difference == Interval(0.05, 0.01, 0.09)
    assert first.scale == (0.2, 0.4)
    assert "1,234 users" in boards[FACTORS][0].title


def test_below_a_labelled_task_stands_what_became_of_it() -> None:
    shapes, tags = all_boards(score_rows(scores()), "ndcg_at_10", CLASSES)[PROBE]
    assert (shapes.measure, tags.measure) == ("mean_class_accuracy", "map")
    assert shapes.reference == "imagenet"
    assert shapes.panel is not None
    assert shapes.panel.of_set == ("1,200 images listed, 1,100 found, 1,000 used; split by look")
    assert shapes.panel.notes == ("imagenet: its makers were told",)
    assert [(row.name, row.ours, row.n_test) for row in shapes.panel.ahead] == [("disc", 0.8, 9)]
    assert [row.name for row in shapes.panel.behind] == ["line", "star"]
    assert tags.panel is not None
    assert (tags.panel.metric, tags.panel.ahead) == ("average precision", ())


def test_a_task_of_several_labels_is_told_by_its_mean_average_precision() -> None:
    tables = scores()
    tables["benchmark_scores"] = tables["benchmark_scores"].filter(task="tags")
    headline = headlines_of(all_boards(score_rows(tables), "ndcg_at_10", CLASSES))[2]
    assert headline.title == "mAP on tags"
    assert "mean of average precisions over classes: 60" in headline.sentence


def test_a_home_without_tasks_has_no_such_table() -> None:
    tables = scores()
    tables["benchmark_scores"] = tables["benchmark_scores"].clear()
    boards = all_boards(score_rows(tables), "ndcg_at_10", CLASSES)
    assert PROBE not in boards
    assert len(headlines_of(boards)) == 3


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"low": 0.01, "high": 0.09}, "ours are better here"),
        ({"low": -0.09, "high": -0.01}, "ours are worse here"),
        ({"low": -0.01, "high": 0.09}, "does not tell the two apart"),
        ({"low": None, "high": None}, "too few groups for an interval"),
    ],
)
def test_the_sentence_follows_the_interval(bounds: dict[str, float], said: str) -> None:
    headlines = headlines_of(all_boards(score_rows(scores(**bounds)), "ndcg_at_10", CLASSES))
    assert headlines[1].figures == (("ours", "0.300"), ("ImageNet", "0.250"))
    assert said in headlines[1].sentence
    assert headlines[0].figures == (("factors", "38\u00a0%"), ("popularity", "3\u00a0%"))
    assert "not measured" in headlines[3].sentence


def test_figures_in_words() -> None:
    assert (
        figure(Interval(-0.0123, -0.05, 0.02), signed=True) == "\u22120.012 [\u22120.050, +0.020]"
    )
    assert figure(Interval(0.5)) == "0.500"
    assert percent(Interval(0.384, 0.331, 0.441)) == "38\u00a0% [33, 44]"
    assert (figure(None), percent(None)) == ("not measured", "not measured")
    assert Interval(0.5).side is None


def test_every_row_is_explained() -> None:
    told = meanings_of(all_boards(score_rows(scores()), "ndcg_at_10", CLASSES))
    assert next(iter(told)) == "factors"
    assert told["my_lab:Gist"] == "Features from outside, as they are."
    assert "ImageNet" in told["imagenet"]
