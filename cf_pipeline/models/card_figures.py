"""What a model card says in numbers, each read or computed from the home's tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from cf_pipeline.benchmark.feature_sets import IMAGENET, LATENT_FACTORS, RIDGES
from cf_pipeline.benchmark.primary import is_primary
from cf_pipeline.benchmark.report import (
    HEADLINE,
    cold_start_board,
    difference_cell,
    markdown,
    notes_of,
    task_table,
    told_of_set,
    value_cell,
)
from cf_pipeline.models.lineage import Lineage
from cf_pipeline.models.misplaced import MIN_COVERS, Misplaced
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sql import equals
from cf_pipeline.storage.warehouse import Warehouse

N_TOLD = 5
"""Fields and clusters that are told, of those where the model is wrong most."""
N_COVERS_TOLD = 10


def data_section(warehouse: Warehouse, dataset: Dataset, lineage: Lineage) -> list[str]:
    """Name and description of the data set, and how much of everything there is."""
    counts = _counts(warehouse)
    kinds = warehouse.frame("raw_interactions", ("kind",))["kind"].value_counts().sort("kind")
    by_kind = ", ".join(f"{n:,} `{kind}`" for kind, n in kinds.iter_rows())
    splits = warehouse.frame("project_split", ("split",))["split"].value_counts().sort("split")
    by_split = ", ".join(f"{n:,} {split}" for split, n in splits.iter_rows())
    lines = [
        f"`{dataset.name}`. {dataset.description or 'Nobody described it.'}",
        "\n".join([
            f"- {counts['events']:,} interactions ({by_kind}) of {counts['users']:,} users with "
            f"{counts['projects']:,} projects; {_dates(counts)}",
            f"- {counts['covers']:,} readable covers",
            f"- after pruning {counts['entries']:,} pairs of {counts['kept_users']:,} users and "
            f"{counts['kept_projects']:,} projects",
            f"- projects by split: {by_split}",
        ]),
        "A project is held out with all that shares its look or its split group. Factors were "
        "fitted on train projects alone; the others were placed afterwards, users fixed.",
    ]
    moved = _moved_on(warehouse, lineage)
    if moved:
        names = ", ".join(f"`{name}`" for name in moved)
        lines.append(
            f"These counts are of the home as it was exported from; since this model was trained, "
            f"other rows came into {names}."
        )
    return lines


def figures_section(warehouse: Warehouse, model: str) -> list[str]:
    """The chosen layer on held-out covers, the linear probe, and cold start."""
    parts = [*_similarity(warehouse, model)]
    probe = _of_model(warehouse, "benchmark_scores", model)
    if probe.is_empty():
        parts.append("No linear probe on labelled pictures was computed for this model.")
    else:
        parts += [
            "A linear probe on labelled pictures, with 95 % intervals:",
            markdown(*task_table(probe)),
            *_task_notes(probe),
        ]
    cold = _of_model(warehouse, "cold_start_scores", model)
    if not cold.is_empty():
        parts += [
            "Cold start: test projects recommended to users by their cover alone, and what that "
            "leaves to the factors of their own interactions:",
            cold_start_board(cold),
        ]
    return parts


def errors_section(found: Misplaced | None) -> list[str]:
    """Fields, clusters and covers that the model places farthest from where they belong."""
    if found is None:
        return [
            "Not computed: there is no held-out cover with factors that this model was trained "
            "for, or factors were fitted anew since."
        ]
    parts = [
        f"For {found.covers.height:,} held-out covers, one minus the cosine between predicted and "
        "folded-in factors: 0 is the same direction, 1 is unrelated. Its mean is "
        f"{found.mean:.2f}; to the factors of the other held-out covers it is {found.others:.2f}."
    ]
    for column, what in (("field", "Fields"), ("cluster", "Clusters of the latent space")):
        rows = found.by(column)
        if rows.is_empty():
            continue
        ends = [rows.head(N_TOLD)] if rows.height <= N_TOLD else [rows.head(N_TOLD), rows.tail(1)]
        cells = [
            [_named(column, row[column], found), str(row["n_covers"]), f"{row['distance']:.2f}"]
            for row in pl.concat(ends).to_dicts()
        ]
        several = f"{what} of at least {MIN_COVERS} held-out covers, the farthest first"
        parts += [
            f"{several}{', and the nearest' if len(ends) > 1 else ''}:",
            markdown([column, "covers", "mean distance"], cells),
        ]
    worst = [
        [
            _cell(row["title"] or "untitled"),
            _cell(row["project_id"]),
            _cell(row["field"] or ""),
            str(row["n_users"]),
            f"{row['distance']:.2f}",
        ]
        for row in found.covers.head(N_COVERS_TOLD).to_dicts()
    ]
    titles = ["title", "project", "field", "users", "distance"]
    return [
        *parts,
        "The covers that are farthest; where users are few, their own factors say little:",
        markdown(titles, worst),
    ]


def _task_notes(probe: pl.DataFrame) -> list[str]:
    """What became of each labelled set, and what a feature set could have known of it."""
    lines = []
    for of_task in probe.filter(is_primary()).partition_by("task", maintain_order=True):
        row = of_task.row(0, named=True)
        if of_set := told_of_set(row):
            lines.append(f"- `{row['task']}`: {of_set}; {row['n_test']:,} scored")
            lines += [f"    - {note}" for note in notes_of(of_task, "feature_set")]
    return ["\n".join(lines)] if lines else []


def _similarity(warehouse: Warehouse, model: str) -> list[str]:
    scores = _of_model(warehouse, "similarity_scores", model)
    if scores.is_empty():
        return ["Image similarity was not computed for this model: it has no scores."]
    chosen = scores.filter(pl.col("chosen") & (pl.col("split") == "test"))
    layer = chosen["feature_set"][0]
    apart = _of_model(warehouse, "similarity_differences", model).filter(
        split="test", feature_set=layer
    )
    references = [name for name in (IMAGENET, *RIDGES) if name in set(apart["reference"])]
    reached = scores.filter(split="test", feature_set=LATENT_FACTORS)
    rows = []
    for measure in _ordered(chosen["measure"].to_list()):
        row = chosen.filter(measure=measure)
        here = apart.filter(measure=measure)
        top = reached.filter(measure=measure)
        rows.append([
            measure,
            f"{row['n_queries'][0]:,}",
            value_cell(row),
            *(difference_cell(here.filter(reference=name)) for name in references),
            f"{top['value'][0]:.3f}" if top.height and top["value"][0] is not None else "",
        ])
    titles = [
        *("measure", "queries", f"{layer}"),
        *(f"minus {name}" for name in references),
        LATENT_FACTORS,
    ]
    return [
        f"Image similarity on held-out covers, judged by who engages with both. `{layer}` is the "
        f"layer that validation chose; `{LATENT_FACTORS}` is what is reachable from behaviour. "
        "Differences are paired; intervals hold 95 %, over groups of projects that are held out "
        "together.",
        markdown(titles, rows),
    ]


def _of_model(warehouse: Warehouse, table: str, model: str) -> pl.DataFrame:
    if not warehouse.has(table):
        return pl.DataFrame()
    return warehouse.frame(table, where=equals("model_version", model))


def _ordered(measures: Sequence[str]) -> list[str]:
    others = sorted(set(measures) - set(HEADLINE))
    return [measure for measure in (*HEADLINE, *others) if measure in measures]


def _named(column: str, value: Any, found: Misplaced) -> str:
    if column != "cluster":
        return _cell(str(value))
    words = found.words.get(value)
    return f"{value}: {_cell(words)}" if words else str(value)


def _cell(text: str) -> str:
    """A text of the user's data as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _counts(warehouse: Warehouse) -> dict[str, Any]:
    with warehouse.read() as connection:
        row = connection.sql(
            "SELECT (SELECT count(*) FROM raw_interactions) AS events, "
            "(SELECT count(DISTINCT user_id) FROM raw_interactions) AS users, "
            "(SELECT min(occurred_at) FROM raw_interactions) AS first, "
            "(SELECT max(occurred_at) FROM raw_interactions) AS last, "
            "(SELECT count(*) FROM raw_projects) AS projects, "
            "(SELECT count(*) FROM covers WHERE status = 'ok') AS covers, "
            "(SELECT count(*) FROM pruned_matrix) AS entries, "
            "(SELECT count(DISTINCT user_id) FROM pruned_matrix) AS kept_users, "
            "(SELECT count(DISTINCT project_id) FROM pruned_matrix) AS kept_projects"
        ).pl()
    counts: dict[str, Any] = row.to_dicts()[0]
    return counts


def _dates(counts: dict[str, Any]) -> str:
    if counts["first"] is None:
        return "no interaction has a date"
    return f"dated {counts['first']:%Y-%m-%d} to {counts['last']:%Y-%m-%d}"


def _moved_on(warehouse: Warehouse, lineage: Lineage) -> list[str]:
    """Tables of the home whose rows are others than those that the model goes back to."""
    used: dict[str, set[str]] = {}
    for made in lineage.made:
        used.setdefault(made.asset, set()).add(made.data_version)
    used.pop("trained_cnn", None)
    records = warehouse.records()
    return sorted(
        asset
        for asset, versions in used.items()
        if asset in records and records[asset].data_version not in versions
    )
