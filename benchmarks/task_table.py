"""The talk's last slide, as far as pictures can be had: recipes and rivals on labelled tasks.

    cf-pipeline run --home H --dataset D --recipe talk2015 --budget demo
    python benchmarks/task_table.py --home H H2 H3 --write

A row is a feature set of the one run of a recipe, a column a task by its primary metric on test.
What is read of a home is kept in docs/results/tasks, the table goes into docs/tasks.md.
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
RIVALS = (IMAGENET, IMAGENET_LEVELS, METACLASS, "random", "color")
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
            table = table.filter(reference=IMAGENET)
        rows[name] = table.drop("model_version").to_dicts()
    command = ["cf-pipeline", "run", "--recipe", str(choices.recipe)]
    command += ["--budget", str(choices.budget)]
    asked = {"dataset": dataset, "recipe": choices.recipe, "budget": choices.budget}
    return f"{dataset}-{choices.recipe}", {**asked, **stood_beside(command), **rows}


def table_of(results: Path) -> str:
    """A table a data set, and the slide with the best of our recipes by its own metrics."""
    runs = [json.loads(file.read_text()) for file in sorted(results.glob("*.json"))]
    blocks = []
    for dataset in sorted({run["dataset"] for run in runs}):
        here = {run["recipe"]: run for run in runs if run["dataset"] == dataset}
        ordered = [here[recipe] for recipe in RECIPES if recipe in here]
        blocks.append(f"**`{dataset}`**, mean class accuracy\n\n{_of_dataset(ordered)}")
        blocks += [
            f"**The slide, `{dataset}`, `{run['recipe']}`**: percent, theirs in brackets\n\n"
            f"{markdown(*beside_the_talk(pl.DataFrame(run['benchmark_scores'], **_INFER)))}"
            for run in ordered
        ]
    return "\n\n".join(blocks)


_INFER: dict[str, Any] = {"infer_schema_length": None}


def _of_dataset(runs: list[dict[str, Any]]) -> str:
    """Layers of each recipe, then what does not learn from behaviour, each minus ImageNet's."""
    first = _scores(runs[-1])
    tasks = first["task"].unique().sort().to_list()
    titles = ["", *(cell for task in tasks for cell in (f"`{task}`", f"minus `{IMAGENET}`"))]
    rows = [
        [f"`{run['recipe']}` `{layer}`", *_cells(run, layer, tasks)]
        for run in runs
        for layer in LAYERS
    ]
    rows += [[f"`{rival}`", *_cells(runs[-1], rival, tasks)] for rival in RIVALS]
    return markdown(titles, rows)


def _cells(run: dict[str, Any], name: str, tasks: list[str]) -> list[str]:
    scores = _scores(run).filter(feature_set=name)
    apart = pl.DataFrame(run["benchmark_differences"], **_INFER).filter(
        feature_set=name, metric=METRICS[0]
    )
    return [
        cell
        for task in tasks
        for cell in (
            value_cell(scores.filter(task=task)),
            difference_cell(apart.filter(task=task)),
        )
    ]


def _scores(run: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(run["benchmark_scores"], **_INFER).filter(metric=METRICS[0])


if __name__ == "__main__":
    page = ResultsPage(__doc__, PAGE, RESULTS, MARKS, read, table_of)
    page_of_homes(page, 0, "nothing to make smaller: homes are read")
