"""What is shown is what the rule says."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cf_pipeline.gallery.choosing import (
    judged_splits,
    misplacements,
    nearest_of,
    picked_queries,
    primary_measure,
    split_sizes,
)
from cf_pipeline.vectors import IndexedVectors


def values(numbers: list[float]) -> pl.DataFrame:
    ids = [f"q{row:02d}" for row in range(len(numbers))]
    return pl.DataFrame(
        {"project_id": ids, "value": numbers}, schema={"project_id": pl.String, "value": pl.Float64}
    )


def test_best_median_and_worst() -> None:
    picked = picked_queries(values([row / 20 for row in range(21)]), n=3)
    assert picked == {
        "best": ("q20", "q19", "q18"),
        "median": ("q11", "q10", "q09"),
        "worst": ("q02", "q01", "q00"),
    }


def test_equals_are_taken_by_their_ids_whatever_their_order() -> None:
    table = values([0.0] * 30)
    picked = picked_queries(table)
    assert picked == picked_queries(table.reverse())
    assert picked != picked_queries(table, seed=1)
    assert picked["best"] != ("q00", "q01", "q02", "q03")


@pytest.mark.parametrize("n", range(14))
def test_no_query_twice_and_failures_first_among_few(n: int) -> None:
    picked = picked_queries(values([row / 20 for row in range(n)]))
    shown = [query for some in picked.values() for query in some]
    assert len(shown) == len(set(shown)) == min(n, 12)
    assert len(picked["best"]) >= len(picked["worst"]) >= len(picked["median"])


def test_the_measure_is_within_strata_where_there_are_any() -> None:
    both = pl.DataFrame({
        "measure": ["ndcg_at_10", "ndcg_at_10_within_stratum"],
        "n_queries": [5, 5],
    })
    assert primary_measure(both) == "ndcg_at_10_within_stratum"
    assert primary_measure(both.with_columns(n_queries=pl.Series([5, 0]))) == "ndcg_at_10"
    assert primary_measure(both.head(1)) == "ndcg_at_10"


def test_neighbours_without_a_cover_are_left_out() -> None:
    table = pl.DataFrame({
        "feature_set": ["a", "a", "a", "b"],
        "project_id": ["1", "1", "1", "1"],
        "rank": [3, 1, 2, 1],
        "neighbour_id": ["z", "x", "hidden", "w"],
    })
    known = dict.fromkeys(["w", "x", "z", "2"])
    assert nearest_of(table, "a", ["1", "2"], known) == {"1": ("x", "z"), "2": ()}


def test_what_an_earlier_network_has_seen_is_not_judged() -> None:
    table = pl.DataFrame({
        "project_id": ["a", "b", "c", "d"], "split": ["train", "test", "test", "validation"]
    })  # fmt: skip
    splits = judged_splits(table, pl.DataFrame({"project_id": ["a", "c", "gone"]}))
    assert splits == {"a": "train", "b": "test", "c": "seen", "d": "validation"}
    # A project that nothing but events knows has a place, and is in no split.
    assert split_sizes(["a", "b", "c", "only events"], splits) == {"train": 1, "test": 1, "seen": 1}


def test_where_the_network_is_wrong() -> None:
    """Places on a circle; a slow twin says which are far off."""
    n = 30
    angles = np.linspace(0, np.pi, n)
    ids = tuple(f"h{row:02d}" for row in range(n))
    actual = np.stack([np.ones(n), np.zeros(n)], axis=1).astype(np.float32)
    predicted = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    compass = ("east", "north", "south", "west")
    train = IndexedVectors(compass, np.array([[1, 0], [0, 1], [0, -1], [-1, 0]], dtype=np.float32))
    told = misplacements(
        IndexedVectors((*ids, "only predicted"), np.concatenate([predicted, predicted[:1]])),
        IndexedVectors(ids, 3 * actual),
        train,
    )
    assert np.allclose(told.distances, 1 - np.cos(angles), atol=1e-6)
    assert [each.project_id for each in told.farthest] == [f"h{row}" for row in range(29, 17, -1)]
    assert [each.project_id for each in told.nearest] == ["h00", "h01", "h02", "h03"]
    assert told.farthest[0].predicted[0] == "west"
    assert {each.actual[0] for each in (*told.farthest, *told.nearest)} == {"east"}
    assert len(told.farthest[0].predicted) == 4


def test_few_are_not_shown_twice() -> None:
    vectors = IndexedVectors(("a", "b"), np.eye(2, dtype=np.float32))
    told = misplacements(vectors, vectors, vectors)
    assert [each.project_id for each in (*told.farthest, *told.nearest)] in (["a", "b"], ["b", "a"])
    nothing = IndexedVectors((), np.zeros((0, 2), dtype=np.float32))
    assert misplacements(nothing, nothing, vectors).distances == ()
