"""The talk's last slide, as far as pictures can be had: recipes and rivals on labelled tasks.

    cf-pipeline run --home H --dataset D --recipe talk2015 --budget demo
    python benchmarks/task_table.py --home H H2 H3 --write

A table is of one data set and task, a row in it a feature set of the one run of a recipe. What is
read of a home is kept in docs/results/tasks, the tables go into docs/tasks.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from cf_pipeline.benchmark.feature_sets import IMAGENET, IMAGENET_LEVELS, LAYERS, METACLASS
from cf_pipeline.benchmark.report import difference_cell, markdown, value_cell
from cf_pipeline.benchmark.talk import beside_the_talk
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.models.catalogue import current_model, warehouse_of
from cf_pipeline.models.saved_board import stood_beside
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.sql import equals
from cf_pipeline.storage.home import Home
from recipe_table import RECIPES
from trials.report import ResultsPage, page_of_homes

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "tasks.md"
RESULTS = REPOSITORY / "docs" / "results" / "tasks"
MARKS = "<!-- tasks -->", "<!-- end of tasks -->"
METRICS = ("mean_class_accuracy", "map")
REFERENCES = (IMAGENET, IMAGENET_LEVELS)
OF_RECIPE = (*LAYERS, "random")
"""`random` is the untrained network of a recipe, which talk2015 and paper2015 begin with."""
RIVALS = (IMAGENET, IMAGENET_LEVELS, METACLASS, "color")
TABLES = ("benchmark_scores", "benchmark_differences")


def read(home: Home, _: int) -> tuple[str, dict[str, Any]]:
    """`<data set>-<recipe>`, and what probes on a home's newest model reached."""
    choices, warehouse = Choices.read(home.config_path), warehouse_of(home)
    dataset = load_dataset(resolve(choices).dataset).name
    of_model = equals("model_version", current_model(warehouse, home))
    rows = {}
    for name in TABLES:
        table = warehouse.frame(name, where=of_model).filter(pl.col("metric").is_in(METRICS))
        if "reference" in table.columns:
            table = table.filter(pl.col("reference").is_in(REFERENCES))
        rows[name] = table.drop("model_version").to_dicts()
    command = ["cf-pipeline", "run", "--recipe", str(choices.recipe)]
    command += ["--budget", str(choices.budget)]
    asked = {"dataset": dataset, "recipe": choices.recipe, "budget": choices.budget}
    return f"{dataset}-{choices.recipe}", {**asked, **stood_beside(command), **rows}


def table_of(results: Path) -> str:
    """The slide, and a table for each data set and task."""
    runs = [json.loads(file.read_text()) for file in sorted(results.glob("*.json"))]
    runs.sort(key=lambda run: (run["dataset"], RECIPES.index(run["recipe"])))
    blocks = [f"The slide, in percent, theirs in brackets:\n\n{_slide(runs)}"]
    for dataset in sorted({run["dataset"] for run in runs}):
        here = [run for run in runs if run["dataset"] == dataset]
        tasks = _rows(here[-1], "benchmark_scores")["task"].unique().sort()
        blocks += [f"**`{dataset}`: `{task}`**\n\n{_of_task(here, task)}" for task in tasks]
    return "\n\n".join(blocks)


def _slide(runs: list[dict[str, Any]]) -> str:
    """Benchmarks of the slide that have a task, run by run."""
    titles, rows = [], []
    for run in runs:
        titles, told = beside_the_talk(_rows(run, "benchmark_scores"))
        rows += [[f"`{run['dataset']}`", f"`{run['recipe']}`", *row] for row in told if row[1]]
    return markdown(["learned from", "recipe", *titles], rows)


def _of_task(runs: list[dict[str, Any]], task: str) -> str:
    """Layers of each recipe's network and the network untrained, then what knows no recipe."""
    titles = ["recipe", "feature set", METRICS[0].replace("_", " ")]
    titles += [f"minus `{reference}`" for reference in REFERENCES]
    rows = [
        [f"`{run['recipe']}`", f"`{layer}`", *_cells(run, task, layer)]
        for run in runs
        for layer in OF_RECIPE
    ]
    rows += [["", f"`{rival}`", *_cells(runs[-1], task, rival)] for rival in RIVALS]
    return markdown(titles, rows)


def _cells(run: dict[str, Any], task: str, name: str) -> list[str]:
    asked = {"task": task, "feature_set": name, "metric": METRICS[0]}
    apart = _rows(run, "benchmark_differences").filter(**asked)
    return [
        value_cell(_rows(run, "benchmark_scores").filter(**asked)),
        *(difference_cell(apart.filter(reference=reference)) for reference in REFERENCES),
    ]


def _rows(run: dict[str, Any], table: str) -> pl.DataFrame:
    return pl.DataFrame(run[table], infer_schema_length=None)


if __name__ == "__main__":
    page = ResultsPage(__doc__, PAGE, RESULTS, MARKS, read, table_of)
    page_of_homes(page, 0, "nothing to make smaller: homes are read")
