"""The scoreboard as text: Markdown for documents, rows for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from cf_pipeline.benchmark.feature_sets import LATENT_FACTORS, ordered
from cf_pipeline.benchmark.primary import is_primary
from cf_pipeline.benchmark.task_splits import SPLIT_WORDS

if TYPE_CHECKING:
    from cf_pipeline.benchmark.similarity import SimilarityTables

HEADLINE = ("triplet_accuracy", "ndcg_at_10")
"""Measures that stand first; the others follow by name."""


def scoreboard(
    scores: pl.DataFrame, differences: pl.DataFrame, split: str, reference: str
) -> tuple[list[str], list[list[str]]]:
    """The similarity table of one split.

    Args:
        scores: rows of `similarity_scores` of one model.
        differences: rows of `similarity_differences` of the same model.
        split: `validation` or `test`.
        reference: the feature set that differences are shown to.

    Returns:
        Column titles and rows. A value stands with its 95 % interval, the chosen layer with `*`.
    """
    here = scores.filter(split=split)
    apart = differences.filter(split=split, reference=reference)
    measures = [m for m in _answered(here) if m != "same_field_at_10"]
    titles = ["feature set"]
    for measure in measures:
        titles += [measure, f"minus {reference}"]
    rows = []
    for name in ordered(here["feature_set"].unique().to_list()):
        row = here.filter(feature_set=name)
        cells = [f"{name} *" if row["chosen"].any() else name]
        for measure in measures:
            difference = apart.filter(feature_set=name, measure=measure)
            cells += [_cell(row.filter(measure=measure), "value"), _cell(difference, "difference")]
        rows.append(cells)
    return titles, rows


def task_table(scores: pl.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Linear-probe scores by the metric that a task is told by, feature sets by tasks.

    Args:
        scores: rows of `benchmark_scores` of one model.

    Returns:
        Column titles and rows.
    """
    here = scores.filter(is_primary())
    metrics = dict(here.select("task", "metric").unique().sort("task").iter_rows())
    rows = [
        [name, *(_cell(here.filter(feature_set=name, task=task), "value") for task in metrics)]
        for name in ordered(here["feature_set"].unique().to_list())
    ]
    return ["feature set", *(f"{task}, {metric}" for task, metric in metrics.items())], rows


def told_of_set(row: Mapping[str, Any]) -> str:
    """What became of a labelled set, from one of its scores; empty if an earlier release scored.

    `80,000 images listed, 77,600 found, 77,600 used; split by its makers`, and draws and variant.
    """
    if row["n_used"] is None:
        return ""
    draws = f", {row['n_draws']} times" if row["n_draws"] > 1 else ""
    variant = f"; {row['variant']}" if row["variant"] else ""
    return (
        f"{row['n_listed']:,} images listed, {row['n_found']:,} found, {row['n_used']:,} used; "
        f"{SPLIT_WORDS[row['split_rule']]}{draws}{variant}"
    )


def notes_of(rows: pl.DataFrame, name: str) -> tuple[str, ...]:
    """Notes of scores, each once after all whose they are.

    Args:
        rows: `note`, and a column with the feature set.
        name: of that column.
    """
    notes = rows.drop_nulls("note").group_by("note", maintain_order=True).agg(name)
    return tuple(f"{', '.join(names)}: {note}" for note, names in notes.iter_rows())


def pooled_boards(pooled: pl.DataFrame) -> list[tuple[str, list[str], list[list[str]]]]:
    """The scoreboard pooled over folds, one table a measure.

    Args:
        pooled: what `pooling.pooled_table` returns.

    Returns:
        Title, column titles and rows of each measure; differences stand with 95 % intervals.
    """
    boards = []
    for measure in pooled["measure"].unique(maintain_order=True):
        here = pooled.filter(measure=measure)
        references = here["reference"].unique(maintain_order=True).to_list()
        rows = []
        for name in here["feature_set"].unique(maintain_order=True):
            row = here.filter(feature_set=name)
            apart = [_cell(row.filter(reference=other), "difference") for other in references]
            rows.append([name, f"{row['value'][0]:.3f}", *apart])
        queries, groups = (max(here[size].to_list()) for size in ("n_queries", "n_groups"))
        title = f"{measure}, {queries} queries of {groups} groups"
        titles = ["feature set", "value", *(f"minus {other}" for other in references)]
        boards.append((title, titles, rows))
    return boards


def cold_start_board(scores: pl.DataFrame) -> str:
    """Cold start on test as Markdown, each value with what it leaves to the folded-in factors."""
    here = scores.filter(split="test")
    metrics = here["metric"].unique(maintain_order=True).to_list()
    titles = ["feature set"]
    for metric in metrics:
        titles += [metric, f"minus {LATENT_FACTORS}"]
    reached = dict(here.filter(feature_set=LATENT_FACTORS).select("metric", "value").iter_rows())
    rows = []
    for name in ordered(here["feature_set"].unique().to_list()):
        cells = [name]
        for metric in metrics:
            row = here.filter(feature_set=name, metric=metric)
            value, top = row["value"][0], reached[metric]
            is_apart = name != LATENT_FACTORS and value is not None and top is not None
            cells += [_cell(row, "value"), f"{value - top:+.3f}" if is_apart else ""]
        rows.append(cells)
    return markdown(titles, rows)


def markdown(titles: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def summarize_similarity(result: SimilarityTables) -> dict[str, float | str]:
    """What the UI shows: the chosen layer's figures on test and the whole table."""
    test = result.scores.filter(split="test", chosen=True)
    figures: dict[str, float | str] = {
        f"test_{row['measure']}": row["value"]
        for row in test.to_dicts()
        if row["value"] is not None
    }
    titles, rows = scoreboard(result.scores, result.differences, "test", result.frozen)
    pools = [
        f"| {row['split']} | {row['condition']} | {row['count']:,} |"
        for row in result.pools.to_dicts()
    ]
    return {
        **figures,
        "chosen_layer": result.chosen,
        "train_projects": result.n_train,
        "scoreboard": markdown(titles, rows),
        "exported_form": result.forms.filter("exported")["form"].item(),
        "popularity_leaks": _leak_table(result.leaks),
        "pools": "\n".join(["| split | condition | count |", "|---|---|---|", *pools]),
    }


def _leak_table(leaks: pl.DataFrame) -> str:
    """Correlations on test, a row a feature set."""
    here = leaks.filter(split="test")
    quantities = here["quantity"].unique(maintain_order=True).to_list()
    rows = [
        [
            name,
            *(
                "" if value is None else f"{value:+.2f}"
                for value in here.filter(feature_set=name)["correlation"]
            ),
        ]
        for name in here["feature_set"].unique(maintain_order=True)
    ]
    return markdown(["feature set", *quantities], rows)


def _answered(scores: pl.DataFrame) -> list[str]:
    """Measures that some query can answer, headline measures first."""
    answered = set(scores.filter(pl.col("n_queries") > 0)["measure"].to_list())
    first = [measure for measure in HEADLINE if measure in answered]
    return first + sorted(answered - set(first))


def value_cell(row: pl.DataFrame) -> str:
    """`0.652 [0.611, 0.690]`, empty where there is none."""
    return _cell(row, "value")


def difference_cell(row: pl.DataFrame) -> str:
    """`+0.037 [+0.013, +0.067]`, empty where there is none."""
    return _cell(row, "difference")


def _cell(row: pl.DataFrame, figure: str) -> str:
    """`0.652 [0.611, 0.690]`, signed for differences, empty where there is none."""
    if row.height == 0 or row[figure][0] is None:
        return ""
    sign = "+" if figure == "difference" else ""
    value, low, high = row[figure][0], row["low"][0], row["high"][0]
    if low is None:
        return f"{value:{sign}.3f}"
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
