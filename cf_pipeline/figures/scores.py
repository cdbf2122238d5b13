"""The scoreboard as pictures: values with intervals, and where a probe goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes

from cf_pipeline.errors import DataError
from cf_pipeline.figures.style import (
    BLUE,
    GREY,
    INK,
    LABEL_SIZE,
    ORANGE,
    TICK_SIZE,
    label,
    new_figure,
    png,
    say_empty,
)

CHANCE = "chance"


def score_bars(scores: pl.DataFrame, measure: str, title: str) -> bytes:
    """Each feature set's value with its interval, best on top.

    Dots rather than bars from zero, since most measures have their chance level elsewhere. A row
    `chance` is drawn as a line through all.

    Args:
        scores: columns `feature_set, value, low, high, chosen`; `low` and `high` may be null.
        measure: what the value is, named below the axis.
        title: what it is about.

    Returns:
        PNG bytes.
    """
    rows = scores.drop_nulls("value").sort("value", "feature_set", descending=[False, True])
    chance = rows.filter(pl.col("feature_set") == CHANCE)["value"].to_list()
    rows = rows.filter(pl.col("feature_set") != CHANCE)
    figure, (axes,) = new_figure(6.6, 1.1 + 0.3 * max(2, rows.height))
    label(axes, title, f"{measure} (bar: 95 % interval)", "")
    if rows.is_empty() and not chance:
        say_empty(axes)
        return png(figure)
    for value in chance[:1]:
        axes.axvline(value, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 2)))
        # Below the lowest row, where no value can stand in the way.
        axes.text(value, -0.85, " chance", color=ORANGE, fontsize=TICK_SIZE, va="center")
    for number, row in enumerate(rows.iter_rows(named=True)):
        _score_row(axes, number, row)
    names = rows["feature_set"].to_list()
    axes.set_yticks(range(len(names)), names, fontsize=LABEL_SIZE)
    for tick, is_chosen in zip(axes.get_yticklabels(), rows["chosen"].to_list(), strict=True):
        tick.set_fontweight("bold" if is_chosen else "normal")
    axes.set_ylim(-1.2, max(len(names), 1) - 0.4)
    axes.margins(x=0.04)
    axes.grid(visible=False, axis="y")
    return png(figure)


def _score_row(axes: Axes, number: int, row: dict[str, Any]) -> None:
    """Dot, interval, and the value in figures at the right edge."""
    is_chosen = bool(row["chosen"])
    color = BLUE if is_chosen else GREY
    value, low, high = row["value"], row["low"], row["high"]
    if low is not None and high is not None:
        axes.plot([low, high], [number, number], color=color, linewidth=2.2, alpha=0.6)
    axes.plot(
        [value],
        [number],
        color=color,
        marker="D" if is_chosen else "o",
        markersize=7 if is_chosen else 5.5,
    )
    axes.annotate(
        f"{value:.3f}" + (" chosen" if is_chosen else ""),
        (1.015, number),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=TICK_SIZE,
        color=color if is_chosen else INK,
        annotation_clip=False,
    )


def confusion(
    matrix: npt.ArrayLike, classes: Sequence[str], title: str = "Which class is taken for which"
) -> bytes:
    """Which class was taken for which, each row as shares of its true class.

    Args:
        matrix: counts, shape (n, n), rows true, columns predicted.
        classes: n names.
        title: what was classified.

    Returns:
        PNG bytes. A class without images has a grey row.

    Raises:
        DataError: the matrix is not n x n.
    """
    counts: npt.NDArray[np.float64] = np.asarray(matrix, dtype=np.float64)
    n = len(classes)
    if n and counts.shape != (n, n):
        raise DataError(
            f"expected a confusion matrix of shape ({n}, {n}) for {n} classes, got {counts.shape}. "
            "Count over the same list of classes."
        )
    side = float(np.clip(2.6 + 0.125 * n, 3.6, 10.5))
    figure, (axes,) = new_figure(side + 0.9, side)
    label(axes, title, "predicted class", "true class")
    axes.grid(visible=False)
    if n == 0:
        say_empty(axes)
        return png(figure)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    axes.set_facecolor("#dddddd")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    size = float(np.clip(400 / n, 5.5, TICK_SIZE))
    axes.set_xticks(range(n), list(classes), rotation=90, fontsize=size)
    axes.set_yticks(range(n), list(classes), fontsize=size)
    axes.tick_params(length=0 if n > 20 else 3, pad=2)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=25)
    bar.set_label("share of the true class", fontsize=LABEL_SIZE, color=INK)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    bar.outline.set_visible(False)
    if n <= 12:
        _write_shares(axes, shares)
    return png(figure)


def _write_shares(axes: Axes, shares: npt.NDArray[np.float64]) -> None:
    for row, column in np.argwhere(np.nan_to_num(shares) >= 0.005):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{share:.2f}".removeprefix("0"),
            ha="center",
            va="center",
            fontsize=TICK_SIZE - 1,
            color="white" if share > 0.5 else INK,
        )
