"""Curves over iterations and epochs: the objective of ALS, the losses of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes

from cf_pipeline.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    label,
    legend,
    new_figure,
    plain_numbers,
    png,
    say_empty,
    whole_numbers,
)

Floats = npt.NDArray[np.float64]

COLORS = {
    "train_loss": BLUE,
    "validation_loss": ORANGE,
    "validation_ndcg": GREEN,
    "validation_cosine": GREEN,
    "learning_rate": GREY,
}


class Panel(NamedTuple):
    """One panel of the training's picture: which curves, and their names in the legend."""

    names: dict[str, str | None]
    title: str
    y: str
    shows_best: bool


PANELS = (
    Panel({"train_loss": "train", "validation_loss": "validation"}, "Loss", "loss", True),
    Panel({"validation_ndcg": None}, "Rankings of validation covers", "mean nDCG at 10", True),
    Panel({"validation_cosine": None}, "Predicted and target factors", "mean cosine", True),
    Panel({"learning_rate": None}, "Learning rate", "step size", False),
)


def loss_curves(history: pl.DataFrame, best: int | None) -> bytes:
    """Losses, what validation makes of the network, and learning rate by epoch.

    Args:
        history: one row per value, columns `epoch`, `name`, `value`; names `train_loss`,
            `validation_loss`, `validation_ndcg`, `validation_cosine`, `learning_rate`, any of
            which may be absent.
        best: the epoch whose weights were kept, which is marked; None: none is.

    Returns:
        PNG bytes.
    """
    curves = {name: _curve(history, name) for name in COLORS}
    panels = [
        panel for panel in PANELS if any(len(curves[name][0]) for name in panel.names)
    ] or list(PANELS[:1])
    figure, all_axes = new_figure(0.6 + 3 * len(panels), 3.2, len(panels))
    for panel, axes in zip(panels, all_axes, strict=True):
        for name in panel.names:
            _plot(axes, *curves[name], color=COLORS[name], name=panel.names[name])
        label(axes, panel.title, "epoch", panel.y)
        _finish(axes, best if panel.shows_best else None)
    return png(figure)


def objective_curve(values: Sequence[float] | Floats) -> bytes:
    """The objective that ALS minimizes, after each iteration.

    Args:
        values: n objectives, the first after iteration 1.

    Returns:
        PNG bytes.
    """
    figure, (axes,) = new_figure(5.4, 3.2)
    objective = np.asarray(values, dtype=np.float64)
    _plot(axes, np.arange(1.0, len(objective) + 1), objective, color=BLUE)
    label(axes, "What ALS minimizes", "iteration", "objective")
    _finish(axes, None)
    return png(figure)


def _curve(history: pl.DataFrame, name: str) -> tuple[Floats, Floats]:
    """Epochs and finite values of one curve, in order of epoch."""
    rows = history.filter(pl.col("name") == name).drop_nulls("value").sort("epoch")
    epoch, value = (rows[column].cast(pl.Float64).to_numpy() for column in ("epoch", "value"))
    finite = np.isfinite(value)
    return epoch[finite], value[finite]


def _plot(axes: Axes, x: Floats, y: Floats, *, color: str, name: str | None = None) -> None:
    if len(x) == 0:
        return
    # Markers while they can be told apart: a single epoch is a point, not an invisible line.
    marker = "o" if len(x) <= 30 else None
    axes.plot(x, y, color=color, label=name, marker=marker, markersize=3.5, linewidth=1.6)


def _finish(axes: Axes, best: int | None) -> None:
    """Whole numbers below, room for a single point, the epoch that was kept as a named line."""
    if not axes.lines:
        say_empty(axes)
        return
    x = np.concatenate([np.asarray(line.get_xdata(), dtype=np.float64) for line in axes.lines])
    margin = max(0.4, 0.03 * float(x.max() - x.min()))
    axes.set_xlim(x.min() - margin, x.max() + margin)
    whole_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    if best is not None:
        style = (0, (2, 2))
        axes.axvline(best, color=INK, linewidth=0.9, linestyle=style, label=f"epoch {best}, kept")
    if axes.get_legend_handles_labels()[1]:
        legend(axes)
