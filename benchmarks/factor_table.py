"""Methods of factorization side by side on data sets, and into docs/factorization.md with --write.

    cf-pipeline run --home H --dataset D --select ...  # as far as pruned_matrix
    cf-pipeline tune factors --home H --trials 40 --write
    python benchmarks/factor_table.py --home H H2 --write

Every method answers the questions of `factor_scores`, seed 0, a fifth of events hidden. The row
`als, tuned` is what a home has configured: the second command wrote it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from cf_pipeline.benchmark.report import markdown
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.factorization.als import Als
from cf_pipeline.factorization.config import FactorizationConfig
from cf_pipeline.factorization.factorizer import Factorizer, Fitting
from cf_pipeline.factorization.placing import train_matrix
from cf_pipeline.factorization.ranking import FACTORS, factor_scores
from cf_pipeline.factorization.sampled_mf import SampledMf
from cf_pipeline.models.catalogue import warehouse_of
from cf_pipeline.models.saved_board import stood_beside
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.home import Home
from trials.report import ResultsPage, page_of_homes

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "factorization.md"
RESULTS = REPOSITORY / "docs" / "results" / "factors"
MARKS = "<!-- factors -->", "<!-- end of factors -->"
METRIC = "recall_at_20"
DEFAULT = "als"
METHODS: dict[str, tuple[Factorizer, int]] = {
    DEFAULT: (Als(), 64),
    "als, one lambda": (
        Als(regularization=0.1, regularization_exponent=0, unobserved_weight=1),
        64,
    ),
    "sampled_mf": (SampledMf(), 100),
    "sampled_mf, no negatives": (SampledMf(negatives=0), 100),
}
"""Row to method and number of factors."""


def measured(home: Home, max_users: int) -> tuple[str, dict[str, Any]]:
    """Name of a home's data set, and rows of `factor_scores` and its differences by method."""
    configuration = resolve(Choices.read(home.config_path))
    config, warehouse = configuration.factorization, warehouse_of(home)
    matrix = train_matrix(warehouse.frame("pruned_matrix"), warehouse.frame("project_split"))
    methods = dict(METHODS)
    if config != FactorizationConfig():
        methods["als, tuned"] = (config.method, config.n_factors)
    rows: dict[str, Any] = {}
    for name, (method, n_factors) in methods.items():
        fitting = Fitting(n_factors, 0, configuration.resources.n_threads)
        found = factor_scores(matrix, method, fitting, holdout=0.2, max_users=max_users)
        ours = found.scores.filter(model=FACTORS)
        rows[name] = {
            "settings": {**method.model_dump(), "n_factors": n_factors},
            "scores": ours.drop("denominator").to_dicts(),
            "differences": found.differences.to_dicts(),
        }
        if name == DEFAULT:
            rivals = found.scores.filter(pl.col("model") != FACTORS)
            for (rival,), theirs in rivals.group_by("model", maintain_order=True):
                rows[str(rival)] = {"scores": theirs.drop("denominator").to_dicts()}
        print(name, flush=True)
    name = load_dataset(configuration.dataset).name
    facts = stood_beside(["python", "benchmarks/factor_table.py", "--home", f"HOME_OF_{name}"])
    return name, {**facts, "rows": rows}


def table_of(results: Path) -> str:
    """A row a method and a column a data set: METRIC of known users, with its interval."""
    boards = {file.stem: json.loads(file.read_text()) for file in sorted(results.glob("*.json"))}
    columns = {}
    for name, board in boards.items():
        cells = {}
        for method, row in board["rows"].items():
            [score] = [
                s for s in row["scores"] if s["metric"] == METRIC and s["protocol"] != "new_users"
            ]
            cells[method] = f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
        columns[f"{name}, {score['protocol']}, {score['n_users']:,} users"] = cells
    methods = dict.fromkeys(["als, tuned", *METHODS, "item_knn", "ease", "popularity"])
    rows = [[f"`{m}`", *(cells.get(m, "") for cells in columns.values())] for m in methods]
    return markdown(["method", *columns], rows)


if __name__ == "__main__":
    page = ResultsPage(__doc__, PAGE, RESULTS, MARKS, measured, table_of)
    page_of_homes(page, 10_000, "most users that are asked about")
