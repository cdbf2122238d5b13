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
from cf_pipeline.gallery.content import Board, BoardRow, Interval

FACTORS, SIMILARITY, PROBE, COLD = "Factors", "Similarity", "Labelled images", "Cold start"
PROBE_METRIC, COLD_METRIC, FACTOR_METRIC = "mean_class_accuracy", "auc", "recall_at_20"


def all_boards(
    tables: Mapping[str, pl.DataFrame], primary: str
) -> dict[str, tuple[Board, ...]]:
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


def said_of(boards: Mapping[str, tuple[Board, ...]]) -> tuple[str, ...]:
    """What the first table of each kind says, a sentence each, computed from its figures."""
    sentences = {
        FACTORS: _said_of_factors,
        SIMILARITY: _said_of_similarity,
        PROBE: _said_of_probe,
        COLD: _said_of_cold_start,
    }
    return tuple(sentences[kind](tables[0]) for kind, tables in boards.items())


def _said_of_factors(board: Board) -> str:
    ours, popular = _value(board, "factors"), _value(board, POPULARITY)
    return (
        f"Of what users did and the factorization was not told, its twenty suggestions hold "
        f"{percent(ours)}; the twenty most popular projects hold {percent(popular)}."
    )


def _said_of_similarity(board: Board) -> str:
    [marked] = [row for row in board.rows if row.marked]
    apart = marked.difference
    told = {
        1: "above it",
        -1: "below it",
        0: "not told apart from it: the interval holds zero",
    }
    verdict = told[apart.side] if apart is not None else "not compared with it"
    return (
        f"Neighbours by our chosen layer, {marked.name}, follow shared audiences with a "
        f"{board.measure} of {figure(marked.value)}; ImageNet's features reach "
        f"{figure(_value(board, IMAGENET))}. Ours minus theirs is "
        f"{figure(apart, signed=True)}, so on this split ours are {verdict}."
    )


def _said_of_probe(board: Board) -> str:
    task = board.title.partition(":")[0]
    return (
        f"On labelled images they never saw ({task}), a linear probe names "
        f"{percent(_value(board, COLLABORATIVE))} of the classes' images rightly by our features, "
        f"{percent(_value(board, IMAGENET))} by ImageNet's."
    )


def _said_of_cold_start(board: Board) -> str:
    return (
        f"Ranked for users by nothing but their covers, held-out projects reach an {board.measure} "
        f"of {figure(_value(board, PREDICTED_FACTORS))}; by ImageNet's nearest covers "
        f"{figure(_value(board, IMAGENET))}, by popularity {figure(_value(board, POPULARITY))}, "
        f"and by their own interactions, which a newcomer lacks, "
        f"{figure(_value(board, LATENT_FACTORS))}."
    )


def _value(board: Board, name: str) -> Interval | None:
    return next((row.value for row in board.rows if row.name == name), None)


def figure(interval: Interval | None, *, signed: bool = False) -> str:
    """`0.652 [0.611, 0.690]`, `+0.037 [+0.013, +0.067]`, or that nothing was measured."""
    if interval is None:
        return "not measured"
    sign = "+" if signed else ""
    if interval.low is None or interval.high is None:
        return f"{interval.value:{sign}.3f}"
    return f"{interval.value:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"


def percent(interval: Interval | None) -> str:
    """`38 % [33, 44]`, or that nothing was measured."""
    if interval is None:
        return "not measured"
    if interval.low is None or interval.high is None:
        return f"{100 * interval.value:.0f} %"
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.value:.0f} % [{low:.0f}, {high:.0f}]"
