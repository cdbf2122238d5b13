"""The talk end to end: recipes side by side on data sets, and into docs/recipes.md with --write.

    cf-pipeline run --home H --dataset D --recipe talk2015 --budget demo
    python benchmarks/recipe_table.py --home H H2 H3 --write

A row is the one run of a recipe: how near its chosen layer comes to shared audiences on test, and
how well its factors tell what users did. What is read of a home is kept in docs/results/recipes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from cf_pipeline.benchmark.report import difference_cell, markdown
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.factorization.ranking import FACTORS
from cf_pipeline.models.catalogue import warehouse_of
from cf_pipeline.models.saved_board import stood_beside
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.home import Home
from trials.report import ResultsPage, page_of_homes

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "recipes.md"
RESULTS = REPOSITORY / "docs" / "results" / "recipes"
MARKS = "<!-- recipes -->", "<!-- end of recipes -->"
RECIPES = ("talk2015", "paper2015", "modern")
SIMILARITY = {"triplet_accuracy": "triplet accuracy", "ndcg_at_10": "nDCG at 10"}
FACTOR_METRIC, RIVAL, REFERENCE = "recall_at_20", "item_knn", "imagenet"
TABLES = ("similarity_scores", "similarity_differences", "factor_scores", "factor_differences")


def read(home: Home, _: int) -> tuple[str, dict[str, Any]]:
    """`<data set>-<recipe>`, and what a home's newest model and its factors reached on test."""
    choices, warehouse = Choices.read(home.config_path), warehouse_of(home)
    dataset = load_dataset(resolve(choices).dataset).name
    model = warehouse.frame("trained_cnn")["model_version"].item()
    tables = {name: warehouse.frame(name) for name in TABLES}
    similarity = {
        name: tables[name].filter(split="test", model_version=model) for name in TABLES[:2]
    }
    is_layer = pl.col("chosen") | (pl.col("feature_set") == REFERENCE)
    rows = {
        "similarity_scores": similarity["similarity_scores"].filter(is_layer),
        "similarity_differences": similarity["similarity_differences"].filter(reference=REFERENCE),
        "factor_scores": tables["factor_scores"].drop("denominator"),
        "factor_differences": tables["factor_differences"],
    }
    asked = {"dataset": dataset, "recipe": choices.recipe, "budget": choices.budget}
    command = [
        "cf-pipeline",
        "run",
        "--recipe",
        str(choices.recipe),
        "--budget",
        str(choices.budget),
    ]
    facts = {**asked, **stood_beside(command)}
    rows_of = {
        name: table.drop("model_version", strict=False).to_dicts() for name, table in rows.items()
    }
    return f"{dataset}-{choices.recipe}", {**facts, **rows_of}


def table_of(results: Path) -> str:
    """A row a recipe and data set, below what ImageNet's features reach there."""
    runs = [json.loads(file.read_text()) for file in sorted(results.glob("*.json"))]
    names = sorted({run["dataset"] for run in runs})
    rows = []
    for dataset in names:
        here = {run["recipe"]: run for run in runs if run["dataset"] == dataset}
        ordered = [here[recipe] for recipe in RECIPES if recipe in here]
        rows.append([
            f"`{dataset}`",
            f"`{REFERENCE}`",
            "",
            *_similarity(ordered[0], REFERENCE),
            "",
            "",
        ])
        rows += [_row(run) for run in ordered]
    titles = ["data set", "recipe", "layer"]
    for title in SIMILARITY.values():
        titles += [title, f"minus `{REFERENCE}`"]
    return markdown([*titles, FACTOR_METRIC.replace("_", " "), f"minus `{RIVAL}`"], rows)


def _row(run: dict[str, Any]) -> list[str]:
    [layer] = {row["feature_set"] for row in run["similarity_scores"] if row["chosen"]}
    known = pl.col("protocol") != "new_users"
    factors = pl.DataFrame(run["factor_scores"]).filter(known, model=FACTORS, metric=FACTOR_METRIC)
    apart = pl.DataFrame(run["factor_differences"]).filter(
        known, reference=RIVAL, metric=FACTOR_METRIC
    )
    return [
        "",
        f"`{run['recipe']}`",
        f"`{layer}`",
        *_similarity(run, layer),
        f"{factors['value'].item():.3f}",
        difference_cell(apart),
    ]


def _similarity(run: dict[str, Any], layer: str) -> list[str]:
    """Value and difference a measure; of those judged within strata, that one is told."""
    scores = pl.DataFrame(run["similarity_scores"]).filter(feature_set=layer)
    apart = pl.DataFrame(run["similarity_differences"]).filter(feature_set=layer)
    cells = []
    for measure in SIMILARITY:
        stratified = f"{measure}_within_stratum"
        told = stratified if stratified in scores["measure"] else measure
        value = scores.filter(measure=told)["value"].item()
        cells += [f"{value:.3f}", difference_cell(apart.filter(measure=told))]
    return cells


if __name__ == "__main__":
    page = ResultsPage(__doc__, PAGE, RESULTS, MARKS, read, table_of)
    page_of_homes(page, 0, "nothing to make smaller: homes are read")
