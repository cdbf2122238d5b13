"""The scoreboard as tables and as sentences, both from the same rows."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cf_pipeline.benchmark.feature_sets import (
    COLLABORATIVE,
    IMAGENET,
    LATENT_FACTORS,
    POPULARITY,
    PREDICTED_FACTORS,
    ordered,
)
from cf_pipeline.benchmark.report import answered_measures
from cf_pipeline.gallery.content import Board, BoardRow, Headline, Interval

FACTORS, SIMILARITY, PROBE, COLD = "Factors", "Similarity", "Labelled images", "Cold start"
PROBE_METRIC, COLD_METRIC, FACTOR_METRIC = "mean_class_accuracy", "auc", "recall_at_20"
_PLAIN = {"ndcg_at_10": "nDCG at 10", "ndcg_at_10_within_stratum": "nDCG at 10 within strata"}


def all_boards(tables: Mapping[str, pl.DataFrame], primary: str) -> dict[str, tuple[Board, ...]]:
    """Every table of the scoreboard, factors first; what has no rows has no table.

    Args:
        tables: rows of `factor_scores`, and of one model of `similarity_scores`,
            `similarity_differences`, `benchmark_scores` and `cold_start_scores`.
        primary: the measure of similarity that is read first.
    """
    similarity = _similarity(tables["similarity_scores"], tables["similarity_differences"], primary)
    found = {
        FACTORS: _factors(tables["factor_scores"]),
        SIMILARITY: similarity,
        PROBE: _probes(tables["benchmark_scores"]),
        COLD: _cold_start(tables["cold_start_scores"]),
    }
    return {kind: boards for kind, boards in found.items() if boards}


def _factors(scores: pl.DataFrame) -> tuple[Board, ...]:
    metrics = scores["metric"].unique(maintain_order=True).to_list()
    return tuple(
        Board(
            f"{metric} of hidden train events, {_most(rows, 'n_users')} users",
            metric,
            None,
            tuple(
                BoardRow(row["model"], _interval(row, "value"), marked=row["model"] == "factors")
                for row in rows.iter_rows(named=True)
            ),
            is_first=metric == FACTOR_METRIC,
        )
        for metric in sorted(metrics, key=lambda name: name != FACTOR_METRIC)
        for rows in [scores.filter(metric=metric)]
    )


def _similarity(scores: pl.DataFrame, differences: pl.DataFrame, primary: str) -> tuple[Board, ...]:
    test = scores.filter(split="test")
    apart = differences.filter(split="test", reference=IMAGENET)
    measures = sorted(answered_measures(test), key=lambda measure: measure != primary)
    return tuple(
        Board(
            f"{measure}, test, {_most(rows, 'n_queries')} queries of "
            f"{_most(rows, 'n_groups')} groups",
            measure,
            IMAGENET,
            tuple(
                BoardRow(
                    name,
                    _only(rows.filter(feature_set=name), "value"),
                    _only(apart.filter(feature_set=name, measure=measure), "difference"),
                    marked=bool(rows.filter(feature_set=name)["chosen"].any()),
                )
                for name in ordered(rows["feature_set"].to_list())
            ),
            is_first=measure == primary,
        )
        for measure in measures
        for rows in [test.filter(measure=measure)]
    )


def _probes(scores: pl.DataFrame) -> tuple[Board, ...]:
    here = scores.filter(metric=PROBE_METRIC)
    return tuple(
        Board(
            f"{task}: {PROBE_METRIC} of a linear probe, {_most(rows, 'n_train')} images fitted on, "
            f"{_most(rows, 'n_test')} scored",
            PROBE_METRIC,
            None,
            tuple(
                BoardRow(
                    name,
                    _only(rows.filter(feature_set=name), "value"),
                    marked=name == COLLABORATIVE,
                )
                for name in ordered(rows["feature_set"].to_list())
            ),
        )
        for task in here["task"].unique().sort()
        for rows in [here.filter(task=task)]
    )


def _cold_start(scores: pl.DataFrame) -> tuple[Board, ...]:
    test = scores.filter(split="test")
    metrics = test["metric"].unique(maintain_order=True).to_list()
    return tuple(
        Board(
            f"{metric}, test, {_most(rows, 'n_users')} users",
            metric,
            None,
            tuple(
                BoardRow(
                    name,
                    _only(rows.filter(feature_set=name), "value"),
                    marked=name == PREDICTED_FACTORS,
                )
                for name in ordered(rows["feature_set"].to_list())
            ),
            is_first=metric == COLD_METRIC,
        )
        for metric in sorted(metrics, key=lambda name: name != COLD_METRIC)
        for rows in [test.filter(metric=metric)]
    )


def _only(rows: pl.DataFrame, figure: str) -> Interval | None:
    return _interval(rows.row(0, named=True), figure) if rows.height else None


def _interval(row: Mapping[str, float | None], figure: str) -> Interval | None:
    value = row[figure]
    return None if value is None else Interval(value, row["low"], row["high"])


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
    return Headline(
        "Recall at 20, factors",
        (("factors", percent(ours, bounds=False)), ("popularity", percent(popular, bounds=False))),
        "Of what users did and the factorization was not told, its twenty suggestions hold "
        f"{percent(ours)}. The twenty most popular projects hold {percent(popular)}.",
    )


def _similarity_says(board: Board) -> Headline:
    [marked] = [row for row in board.rows if row.marked]
    theirs, apart = _value(board, IMAGENET), marked.difference
    verdict = {
        1: "The interval lies above zero: ours are better here.",
        -1: "The interval lies below zero: ours are worse here.",
        0: "The interval holds zero: this split does not tell the two apart.",
    }
    return Headline(
        f"{_PLAIN.get(board.measure, board.measure)}, similarity",
        (("ours", short(marked.value)), ("ImageNet", short(theirs))),
        f"Do neighbours share an audience? Our chosen layer minus ImageNet\u2019s features: "
        f"{figure(apart, signed=True)}. {verdict[apart.side] if apart is not None else ''}".strip(),
    )


def _probe_says(board: Board) -> Headline:
    ours, theirs = _value(board, COLLABORATIVE), _value(board, IMAGENET)
    return Headline(
        f"Accuracy on {board.title.partition(':')[0]}",
        (("ours", percent(ours, bounds=False)), ("ImageNet", percent(theirs, bounds=False))),
        "A linear probe on labelled images that have no audience, mean over classes: "
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
