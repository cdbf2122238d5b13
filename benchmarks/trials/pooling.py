"""Cells of several folds as one figure with its interval, paired with what they are compared to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cf_pipeline.metrics.intervals import percentiles, resampled_sums
from cf_pipeline.metrics.ranking import Floats

N_RESAMPLES, SEED = 2_000, 0
LAYERS = ("collaborative", "predicted_factors")


@dataclass(frozen=True)
class Difference:
    """A mean over queries less another's, with its 95 % interval over groups."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def chosen_layer(sums: dict[str, Any]) -> str:
    """The layer with the higher nDCG on validation, as a fold's own scoreboard chooses."""
    validation = sums["validation"]
    measure = next(name for name in validation if name.startswith("ndcg"))
    means = {name: sum(validation[measure]["sums"][name]) for name in LAYERS}
    return max(LAYERS, key=lambda name: means[name])


def difference(
    cells: Sequence[dict[str, Any]],
    names: Sequence[str],
    others: Sequence[dict[str, Any]],
    reference: str,
    at: tuple[str, str],
) -> Difference:
    """Over the queries of all folds.

    Args:
        cells: sums of one cell a fold.
        names: feature set of each of them.
        others: sums of what they are compared with, fold by fold.
        reference: its feature set.
        at: split, and how the measure begins.
    """
    value, drawn = resampled_difference(cells, names, others, reference, at)
    low, high = percentiles(drawn[:, np.newaxis])
    return Difference(value, float(low[0]), float(high[0]))


def resampled_difference(
    cells: Sequence[dict[str, Any]],
    names: Sequence[str],
    others: Sequence[dict[str, Any]],
    reference: str,
    at: tuple[str, str],
) -> tuple[float, Floats]:
    """The value, and the same in every resample, shape (n_resamples,); see `difference`."""
    split, begins = at
    sums, counts = [], []
    for cell, name, other in zip(cells, names, others, strict=True):
        measure = next(m for m in cell[split] if m.startswith(begins))
        ours, theirs = cell[split][measure], other[split][measure]
        if ours["counts"] != theirs["counts"]:
            raise ValueError(f"{measure}: cell and reference answer other queries")
        sums.append(np.array(ours["sums"][name]) - np.array(theirs["sums"][reference]))
        counts.append(np.array(ours["counts"]))
    added, n = np.concatenate(sums), np.concatenate(counts)
    here = n > 0
    drawn = resampled_sums(added[here, np.newaxis], n[here], N_RESAMPLES, SEED)
    return float(added.sum() / n.sum()), drawn[:, 0]
