"""Points of a learning curve, the line through them, and where it meets ImageNet's features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import NullLocator

from cf_pipeline.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    label,
    legend,
    new_figure,
    plain_numbers,
    png,
)
from trials.pooling import chosen_layer, resampled_difference
from trials.report import IMAGENET, Table

MEASURE = "ndcg"
_COLORS = {"ridge": GREY, "finetuned": BLUE, "scratch": ORANGE}


@dataclass(frozen=True)
class Curve:
    """One way to train, at several numbers of covers, minus ImageNet's features, on test.

    Attributes:
        dataset: its name.
        way: `ridge`, `finetuned` or `scratch`.
        n_train: covers, ascending, shape (p,).
        values: differences of nDCG at 10, shape (p,).
        resampled: the same in every resample, shape (n_resamples, p).
    """

    dataset: str
    way: str
    n_train: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    resampled: npt.NDArray[np.float64]

    @property
    def name(self) -> str:
        """`movielens_1m scratch`."""
        return f"{self.dataset} {self.way}"

    @property
    def bounds(self) -> npt.NDArray[np.float64]:
        """Ends of the 95 % intervals, shape (2, p)."""
        return np.percentile(self.resampled, (2.5, 97.5), axis=0)

    def line(self) -> tuple[float, float]:
        """Offset and slope of a line in log2 of the number of covers."""
        slope, offset = np.polyfit(np.log2(self.n_train), self.values, 1)
        return float(offset), float(slope)

    def slopes(self) -> npt.NDArray[np.float64]:
        """Slope of the line in every resample."""
        return np.asarray(np.polyfit(np.log2(self.n_train), self.resampled.T, 1)[0])

    def meets(self) -> tuple[float, float, float] | None:
        """Covers at which the line is at zero, with a 95 % interval; None: the fit says nothing.

        It does where the slope is above zero in all but 2.5 % of resamples.
        """
        slopes, offsets = np.polyfit(np.log2(self.n_train), self.resampled.T, 1)
        if len(self.n_train) < 3 or np.percentile(slopes, 2.5) <= 0:
            return None
        offset, slope = self.line()
        rising = slopes > 0
        low, high = np.percentile(-offsets[rising] / slopes[rising], (2.5, 97.5))
        return tuple(float(2.0 ** min(x, 60.0)) for x in (-offset / slope, low, high))  # type: ignore[return-value]

    def in_words(self) -> str:
        """Slope, and where it meets ImageNet's features."""
        _, slope = self.line()
        low, high = np.percentile(self.slopes(), (2.5, 97.5))
        said = f"{self.way}: {slope:+.4f} [{low:+.4f}, {high:+.4f}] nDCG for twice the covers"
        met = self.meets()
        if met is None:
            return f"{said}; the fit does not say where it meets `imagenet`"
        if self.values[0] > 0:
            return f"{said}; above `imagenet` from the first point on"
        return f"{said}; the line meets `imagenet` at {met[0]:,.0f} [{met[1]:,.0f}, {met[2]:,.0f}]"

    def figures(self) -> dict[str, Any]:
        """The same as numbers."""
        met = self.meets()
        return {
            "n_train": self.n_train.tolist(),
            "difference": self.values.tolist(),
            "slope": self.line()[1],
            "meets": met,
        }


def curves_of(table: Table, names: Sequence[str]) -> list[Curve]:
    """Every curve that has two points or more."""
    points: dict[str, list[str]] = {}
    for name in names:
        points.setdefault(name.rpartition("-")[0], []).append(name)
    return [_curve(table, way, of) for way, of in points.items() if len(of) > 1]


def _curve(table: Table, way: str, names: Sequence[str]) -> Curve:
    folds = sorted(set.intersection(*(set(table.folds(name)) for name in names)))
    n_train, values, resampled = [], [], []
    for name in names:
        cells = [table.cell(name, fold) for fold in folds]
        sums = [cell["sums"] for cell in cells]
        others = [table.cell(table.reference, fold)["sums"] for fold in folds]
        layers = [chosen_layer(each) for each in sums]
        value, draws = resampled_difference(sums, layers, others, IMAGENET, ("test", MEASURE))
        n_train.append(float(np.mean([cell["facts"]["n_train"] for cell in cells])))
        values.append(value)
        resampled.append(draws)
    return Curve(
        table.dataset, way, np.array(n_train), np.array(values), np.stack(resampled, axis=1)
    )


def curves_ticks(curves: Sequence[Curve], dataset: str) -> list[float]:
    """Numbers of covers that a data set has a point at."""
    return sorted({
        float(round(n)) for curve in curves if curve.dataset == dataset for n in curve.n_train
    })


def drawn(curves: Sequence[Curve]) -> bytes:
    """PNG: a panel for each data set, points with intervals and the lines through them."""
    datasets = list(dict.fromkeys(curve.dataset for curve in curves))
    figure, all_axes = new_figure(1 + 3.6 * len(datasets), 3.4, max(1, len(datasets)))
    for dataset, axes in zip(datasets, all_axes, strict=False):
        axes.axhline(0, color=GREEN, linewidth=1)
        for curve in (c for c in curves if c.dataset == dataset):
            color = _COLORS.get(curve.way, BLUE)
            spread = np.abs(curve.bounds - curve.values)
            axes.errorbar(
                curve.n_train, curve.values, yerr=spread, color=color, fmt="o", label=curve.way
            )
            offset, slope = curve.line()
            x = np.geomspace(curve.n_train[0] / 1.3, curve.n_train[-1] * 4)
            axes.plot(x, offset + slope * np.log2(x), color=color, linewidth=1, linestyle="--")
        axes.set_xscale("log")
        axes.set_xticks(curves_ticks(curves, dataset))
        axes.xaxis.set_minor_locator(NullLocator())
        plain_numbers(axes.xaxis)
        legend(axes)
        label(axes, dataset, "train covers", "nDCG at 10 minus imagenet")
    return png(figure)
