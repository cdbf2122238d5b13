"""The scoreboard as tables and as sentences, both from the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from cf_pipeline.benchmark.feature_sets import (
    COLLABORATIVE,
    IMAGENET,
    LATENT_FACTORS,
    POPULARITY,
    PREDICTED_FACTORS,
)
from cf_pipeline.benchmark.primary import PRIMARY, is_primary
from cf_pipeline.gallery.content import Board, BoardRow, Headline, Interval
from cf_pipeline.gallery.task_panels import task_panel

FACTORS, SIMILARITY, PROBE, COLD = "Factors", "Similarity", "Labelled images", "Cold start"
_KINDS = {"factors": FACTORS, "similarity": SIMILARITY, "probe": PROBE, "cold_start": COLD}
_MARKED = {"factors": "factors", "probe": COLLABORATIVE, "cold_start": PREDICTED_FACTORS}
COLD_METRIC, FACTOR_METRIC = "auc", "recall_at_20"
_PLAIN = {"ndcg_at_10": "nDCG at 10", "ndcg_at_10_within_stratum": "nDCG at 10 within strata"}


def all_boards(
    scores: pl.DataFrame, primary: str, classes: pl.DataFrame
) -> dict[str, tuple[Board, ...]]:
    """Every table of the scoreboard, factors first; what has no values has no table.

    Of labelled images the metric that a task is told by is shown, of splits the test split.

    Args:
        scores: rows of SCORES_SCHEMA, of one model.
        primary: the measure of similarity that is read first.
        classes: rows of `benchmark_classes` of that model.
    """
    shown = scores.filter(
        pl.col("split").is_null() | (pl.col("split") == "test"),
        (pl.col("benchmark") != "probe") | is_primary(),
    )
    first = {"factors": FACTOR_METRIC, "similarity": primary, "cold_start": COLD_METRIC}
    found: dict[str, list[Board]] = {}
    for rows in shown.partition_by("benchmark", "measure", maintain_order=True):
        if rows["value"].is_not_null().any():
            kind = str(rows["benchmark"][0])
            board = _board(kind, rows, first.get(kind))
            if kind == "probe":
                board = replace(board, panel=task_panel(rows, classes))
            found.setdefault(_KINDS[kind], []).append(board)
    return {
        kind: tuple(sorted(boards, key=lambda board: not board.is_first))
        for kind, boards in found.items()
    }


def _board(kind: str, rows: pl.DataFrame, first: str | None) -> Board:
    """One table.

    Args:
        kind: a benchmark of the rows.
        rows: of one benchmark, split and measure.
        first: the measure that is read before others; None: each is.
    """
    measure = str(rows["measure"][0])
    return Board(
        _title(kind, measure, rows),
        str(rows["metric"][0]) if kind == "probe" else measure,
        IMAGENET if rows["reference"].is_not_null().any() else None,
        tuple(_row(kind, row) for row in rows.iter_rows(named=True)),
        is_first=first in (None, measure),
    )


def _title(kind: str, measure: str, rows: pl.DataFrame) -> str:
    n = _most(rows, "n")
    if kind == "factors":
        return f"{measure} of hidden train events, {n} users"
    if kind == "similarity":
        return f"{measure}, test, {n} queries of {_most(rows, 'n_groups')} groups"
    if kind == "probe":
        return f"{rows['task'][0]}: {rows['metric'][0]} of a linear probe, {n} images scored"
    return f"{measure}, test, {n} users"


def _row(kind: str, row: Mapping[str, Any]) -> BoardRow:
    name = row["name"]
    return BoardRow(
        name,
        _interval(row["value"], row["low"], row["high"]),
        _interval(row["difference"], row["difference_low"], row["difference_high"]),
        marked=bool(row["chosen"]) if kind == "similarity" else name == _MARKED[kind],
    )


def _interval(value: float | None, low: float | None, high: float | None) -> Interval | None:
    return None if value is None else Interval(value, low, high)


def _most(rows: pl.DataFrame, size: str) -> str:
    most = rows[size].max()
    return f"{most:,}" if isinstance(most, int) else "no"


def headlines_of(boards: Mapping[str, tuple[Board, ...]]) -> tuple[Headline, ...]:
    """What the first table of each kind says: two figures and a sentence, from its rows."""
    told = {
        FACTORS: _factors_say,
        SIMILARITY: _similarity_says,
        PROBE: _probe_says,
        COLD: _cold_say,
    }
    return tuple(told[kind](tables[0]) for kind, tables in boards.items())


def _factors_say(board: Board) -> Headline:
    ours, popular = _value(board, "factors"), _value(board, POPULARITY)
    near = _value(board, "item_knn")
    return Headline(
        "Recall at 20, factors",
        (("factors", percent(ours, bounds=False)), ("popularity", percent(popular, bounds=False))),
        "Of what users did and the factorization was not told, its twenty suggestions hold "
        f"{percent(ours)}. The twenty most popular projects hold {percent(popular)}, and what "
        f"came with what a user has (item-kNN) {percent(near)}.",
    )


def _similarity_says(board: Board) -> Headline:
    [marked] = [row for row in board.rows if row.marked]
    theirs, apart = _value(board, IMAGENET), marked.difference
    verdict = {
        1: "The interval lies above zero: ours are better here.",
        -1: "The interval lies below zero: ours are worse here.",
        0: "The interval holds zero: this split does not tell the two apart.",
        None: "There are too few groups for an interval.",
    }
    return Headline(
        f"{_PLAIN.get(board.measure, board.measure)}, similarity",
        (("ours", short(marked.value)), ("ImageNet", short(theirs))),
        f"Do neighbours share an audience? Our chosen layer minus ImageNet\u2019s features: "
        f"{figure(apart, signed=True)}. {verdict[apart.side] if apart is not None else ''}".strip(),
    )


def _probe_says(board: Board) -> Headline:
    ours, theirs = _value(board, COLLABORATIVE), _value(board, IMAGENET)
    task = board.title.partition(":")[0]
    is_accuracy = board.measure == PRIMARY[False]
    return Headline(
        f"{'Accuracy' if is_accuracy else 'mAP'} on {task}",
        (("ours", percent(ours, bounds=False)), ("ImageNet", percent(theirs, bounds=False))),
        "A linear probe on labelled images, "
        f"{'mean' if is_accuracy else 'mean of average precisions'} over classes: "
        f"{percent(ours)} with our features layer, {percent(theirs)} with ImageNet\u2019s.",
    )


def _cold_say(board: Board) -> Headline:
    ours, theirs = _value(board, PREDICTED_FACTORS), _value(board, IMAGENET)
    return Headline(
        f"{board.measure.upper()}, cold start",
        (("ours", short(ours)), ("ImageNet", short(theirs))),
        f"Held-out projects ranked for users by their covers alone: {figure(ours)}. Popularity, "
        f"which a newcomer lacks, gives {figure(_value(board, POPULARITY))}, and places from "
        f"their own visitors {figure(_value(board, LATENT_FACTORS))}.",
    )


def _value(board: Board, name: str) -> Interval | None:
    return next((row.value for row in board.rows if row.name == name), None)


def short(interval: Interval | None) -> str:
    """`0.652`, or a dash."""
    return "\u2013" if interval is None else f"{interval.value:.3f}"


def number(value: float, *, signed: bool = False) -> str:
    """`0.652`, `+0.037`, with a minus that is as wide as a plus."""
    return f"{value:{'+' if signed else ''}.3f}".replace("-", "\u2212")


def figure(interval: Interval | None, *, signed: bool = False) -> str:
    """`0.652 [0.611, 0.690]`, `+0.037 [+0.013, +0.067]`, or that nothing was measured."""
    if interval is None:
        return "not measured"
    said = number(interval.value, signed=signed)
    if interval.low is None or interval.high is None:
        return said
    return f"{said} [{number(interval.low, signed=signed)}, {number(interval.high, signed=signed)}]"


def percent(interval: Interval | None, *, bounds: bool = True) -> str:
    """`38 % [33, 44]`, or that nothing was measured."""
    if interval is None:
        return "not measured"
    said = f"{100 * interval.value:.0f}\u00a0%"
    if not bounds or interval.low is None or interval.high is None:
        return said
    return f"{said} [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"
