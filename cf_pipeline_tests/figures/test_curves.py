"""Curves of trainings long, short and absent."""

import numpy as np
import polars as pl
import pytest

from cf_pipeline.figures.curves import loss_curves, objective_curve
from cf_pipeline.figures.style import BLUE, GREEN, INK, ORANGE


def history(n_epochs, *names):
    rows = [
        (epoch, name, number + np.exp(-epoch / 4))
        for epoch in range(1, n_epochs + 1)
        for number, name in enumerate(names)
    ]
    return pl.DataFrame(
        rows,
        schema={"epoch": pl.Int64, "name": pl.String, "value": pl.Float64},
        orient="row",
    )


ALL = ("train_loss", "validation_loss", "validation_cosine", "learning_rate")


def test_a_training_shows_losses_cosine_and_learning_rate(look, share):
    pixels = look(loss_curves(history(12, *ALL), 12))

    assert all(share(pixels, color) > 0.001 for color in (BLUE, ORANGE, GREEN))


@pytest.mark.parametrize("n_epochs", [0, 1, 2, 300])
def test_any_number_of_epochs_can_be_drawn(look, n_epochs):
    look(loss_curves(history(n_epochs, *ALL), None))


def test_panels_without_values_are_left_out(look, share):
    whole = look(loss_curves(history(5, *ALL), 5))
    losses = look(loss_curves(history(5, "train_loss", "validation_loss"), 5))

    assert losses.shape[1] < 0.5 * whole.shape[1]
    seen = [share(pixels, GREEN, within=15) for pixels in (losses, whole)]
    assert seen[0] < 0.0003 < seen[1]


def test_the_epoch_that_was_kept_is_marked_where_it_is(look):
    def marked_column(kept):
        pixels = look(loss_curves(history(9, "train_loss", "validation_ndcg"), kept))
        left = pixels[40:-60, : pixels.shape[1] // 2]
        dark = (left.max(axis=2) < 100).sum(axis=0)
        return dark[80:].argmax() + 80  # right of the axis labels

    assert marked_column(8) - marked_column(2) > 60
    assert INK == "#2b3036"  # dark enough for the threshold above


def test_values_that_are_not_finite_are_left_out(look):
    broken = history(4, *ALL).with_columns(
        value=pl.when(pl.col("epoch") == 3).then(float("nan")).otherwise(pl.col("value"))
    )
    look(loss_curves(broken, 4))


@pytest.mark.parametrize("values", [[], [5.0], [3e6, 2e6, 1.9e6], np.linspace(9, 1, 200)])
def test_objectives_of_any_length_can_be_drawn(look, values):
    look(objective_curve(values))
