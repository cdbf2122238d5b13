"""From the comparison of models to who serves, with the reason in words and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from cf_pipeline.benchmark.promotion import Comparison


@dataclass(frozen=True)
class Decision:
    """What becomes of a challenger.

    Attributes:
        promoted: whether it takes the champion's place.
        best_version: highest mean of the primary measures from now on, promoted or not.
        reason: in words, with figures.
    """

    promoted: bool
    best_version: str
    reason: str


def decide(comparison: Comparison, tolerance: float) -> Decision:
    """Promote the challenger unless it loses.

    It loses where, on a primary measure and against champion or best, its estimate is lower by
    more than the tolerance, or the 95 % interval of the difference lies below zero.

    Args:
        comparison: what compare_models returns.
        tolerance: in units of the measures, at least 0.
    """
    challenger, champion = comparison.challenger, comparison.champion
    if champion is None:
        return Decision(True, challenger, "the first model")
    best = comparison.best or champion
    if champion == challenger:
        return Decision(False, best, f"{challenger} is the champion: nothing to compare it with")
    judged = comparison.table.filter(pl.col("n_queries") > 0)
    if judged.is_empty():
        return Decision(False, best, _cannot_be_judged(comparison))
    # The first of equals is kept, so the best stays the best on a tie.
    best = max((best, champion, challenger), key=lambda version: comparison.means[version])
    rows = [
        row
        for row in judged.iter_rows(named=True)
        if row["reference_role"] == "champion" or row["reference_version"] != champion
    ]
    losses = [reason for row in rows for reason in _losses(row, tolerance)]
    words = losses or [
        f"no loss beyond {tolerance:g} and no interval below zero",
        *(_gain(row) for row in rows),
    ]
    unanswered = comparison.table.filter(pl.col("n_queries") == 0)["measure"].unique().sort()
    words += [f"no query can answer {measure}" for measure in unanswered]
    return Decision(not losses, best, "; ".join(words))


def _losses(row: Mapping[str, Any], tolerance: float) -> list[str]:
    """Why a row forbids promotion, in words; empty where it does not."""
    grounds = []
    if row["difference"] < -tolerance:
        grounds.append(f"more than the tolerance {tolerance:g}")
    if row["high"] is not None and row["high"] < 0:
        grounds.append("with an interval below zero")
    if not grounds:
        return []
    bounds = (
        "without an interval"
        if row["low"] is None
        else f"[{_unsigned(-row['high'])}, {_unsigned(-row['low'])}]"
    )
    return [
        f"{row['measure']} is {-row['difference']:.4f} {bounds} lower than the "
        f"{row['reference_role']}'s {row['reference_version']}, {' and '.join(grounds)}"
    ]


def _unsigned(value: float) -> str:
    """Four decimals without a minus before zero."""
    return f"{round(value, 4) + 0.0:.4f}"


def _gain(row: Mapping[str, Any]) -> str:
    """A row that forbids nothing, in words."""
    bounds = "" if row["low"] is None else f" [{row['low']:+.4f}, {row['high']:+.4f}]"
    return (
        f"{row['measure']} {row['difference']:+.4f}{bounds} against the "
        f"{row['reference_role']}'s {row['reference_version']}"
    )


def _cannot_be_judged(comparison: Comparison) -> str:
    return (
        f"{comparison.challenger} cannot be judged: {comparison.n_trained_on} test projects were "
        f"trained on by one of the models, and the {comparison.n_pool} that are left hold no "
        "query with a relevant candidate"
    )
