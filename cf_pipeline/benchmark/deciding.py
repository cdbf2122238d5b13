"""From the comparison of models to who serves, with the reason in words and figures.

The challenger serves unless it is shown to be worse. The best so far is an anchor: it gives way
only to what is shown to be better, so that noise does not move it, and losses too small to be seen
against the champion add up against it until they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cf_pipeline.benchmark.promotion import DECIDING, Comparison

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """What becomes of a challenger.

    Attributes:
        promoted: whether it takes the champion's place.
        best_version: the best from now on, whoever serves.
        reason: in words, with figures.
    """

    promoted: bool
    best_version: str
    reason: str


def decide(comparison: Comparison) -> Decision:
    """Promote the challenger unless it loses.

    It loses where, on a primary measure and against champion or best, the interval of the
    difference on validation lies below zero. It becomes the best where the intervals against the
    best lie above zero on one measure and below zero on none. Where no measure has an interval
    nothing is shown, and everybody stays.

    Args:
        comparison: what compare_models returns.
    """
    challenger, champion = comparison.challenger, comparison.champion
    if champion is None:
        return Decision(True, challenger, "the first model")
    best = comparison.best or champion
    if champion == challenger:
        return Decision(False, best, f"{challenger} is the champion: nothing to compare it with")
    table = comparison.table.filter(split=DECIDING)
    judged = table.drop_nulls("low").to_dicts()
    if not judged:
        return Decision(False, best, _cannot_be_judged(comparison))
    against_best = [row for row in judged if row["reference_version"] == best]
    if _beats(against_best):
        best = challenger
    # A champion that is the best, too, is told of once.
    rows = [
        row
        for row in judged
        if row["reference_role"] == "champion" or row["reference_version"] != champion
    ]
    losses = [_loss(row) for row in rows if row["high"] < 0]
    words = losses or ["no interval below zero", *map(_gain, rows)]
    silent = table.filter(pl.col("low").is_null())["measure"].unique().sort()
    words += [f"{measure} decides nothing: too few queries or groups" for measure in silent]
    return Decision(not losses, best, "; ".join(words))


def _beats(rows: Sequence[Row]) -> bool:
    """Better on one measure beyond noise, and worse on none."""
    return any(row["low"] > 0 for row in rows) and not any(row["high"] < 0 for row in rows)


def _loss(row: Row) -> str:
    """Why a row forbids promotion, in words."""
    return (
        f"{row['measure']} is {-row['difference']:.4f} [{-row['high']:.4f}, {-row['low']:.4f}] "
        f"lower than the {row['reference_role']}'s {row['reference_version']}"
    )


def _gain(row: Row) -> str:
    """A row that forbids nothing, in words."""
    return (
        f"{row['measure']} {row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}] "
        f"against the {row['reference_role']}'s {row['reference_version']}"
    )


def _cannot_be_judged(comparison: Comparison) -> str:
    return (
        f"{comparison.challenger} cannot be judged: networks of the models compared were fitted to "
        f"{comparison.n_trained_on} validation projects, and the {comparison.n_pool} that are left "
        "hold too few queries or groups for an interval"
    )
