"""Score rows with and without intervals, chance and choice; confusion of 0 to 56 classes."""

import numpy as np
import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.figures.scores import confusion, score_bars
from cf_pipeline.figures.style import BLUE, ORANGE

SCHEMA = {
    "feature_set": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "chosen": pl.Boolean,
}
ROWS = [
    ("chance", 0.5, None, None, False),
    ("color", 0.54, 0.50, 0.58, False),
    ("collaborative", 0.68, 0.63, 0.72, True),
    ("user:$mine_1", 0.61, None, None, None),
]


def scores(*rows):
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


def test_chance_and_the_chosen_row_stand_out(look, share):
    pixels = look(score_bars(scores(*ROWS), "triplet_accuracy", "Image similarity, test"))
    plain = look(score_bars(scores(ROWS[1], ROWS[3]), "triplet_accuracy", "Image similarity, test"))

    for color in (ORANGE, BLUE):
        assert share(pixels, color) > 0.0001 > share(plain, color)


@pytest.mark.parametrize(
    "rows", [[], ROWS[:1], ROWS[1:2], [("color", None, None, None, False)], ROWS * 8]
)
def test_any_number_of_rows_can_be_drawn(look, rows):
    look(score_bars(scores(*rows), "ndcg_at_10", "Image similarity, test"))


@pytest.mark.parametrize("n", [0, 1, 12, 56])
def test_any_number_of_classes_can_be_drawn(look, n):
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.3, (n, n)) + 9 * np.eye(n, dtype=int)

    look(confusion(counts, [f"face-neutral-skeptical $ {number}" for number in range(n)]))


def test_rows_are_shares_and_a_class_without_images_is_grey(look, share):
    twice = look(confusion([[8, 2], [1, 9]], ["cat", "dog"]))
    assert (twice == look(confusion([[80, 20], [10, 90]], ["cat", "dog"]))).all()

    empty = look(confusion([[8, 2], [0, 0]], ["cat", "dog"]))
    assert share(empty, "#dddddd", within=4) > 0.1 > share(twice, "#dddddd", within=4)


def test_a_matrix_of_another_size_is_refused():
    with pytest.raises(DataError, match=r"shape \(3, 3\)"):
        confusion(np.eye(2), ["a", "b", "c"])
