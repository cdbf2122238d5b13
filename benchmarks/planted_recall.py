"""How near do factors come to the true ones of a planted world, at recall@20 of hidden events?

For every number of events a user: the true factors' recall, and the share of it that each method
reaches as configured by default and with settings chosen by `cf-pipeline tune factors`' search.
Beside them who knows the true projects and places each user on them by maximum likelihood: what
no method without that knowledge can pass.
    python benchmarks/planted_recall.py --size 600 --users 300 --events 12 24 48 96
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from cf_pipeline.factorization.als import Als
from cf_pipeline.factorization.factorizer import Factorizer, Fitting
from cf_pipeline.factorization.holding_out import Question, of_known_users
from cf_pipeline.factorization.ranking import Score, by_factors, rank_users
from cf_pipeline.factorization.sampled_mf import SampledMf
from cf_pipeline.factorization.tuning import Search, tune, validation_question
from cf_pipeline.interactions.matrix import build_matrix
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import PlantedWorld, plant
from cf_pipeline.vectors import IndexedVectors, Matrix

METHODS: dict[str, Factorizer] = {"als": Als(), "sampled_mf": SampledMf(n_iterations=10)}
N_FACTORS, TRIED = 12, (6, 8, 12, 16)
SHOWN = 0.2


def main() -> None:
    """Run it and print one JSON object last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=600, help="projects")
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--events", type=int, nargs="+", default=[12, 24, 48, 96])
    parser.add_argument("--trials", type=int, default=24)
    arguments = parser.parse_args()
    rows = []
    for n in arguments.events:
        config = PlantedConfig(
            n_projects=arguments.size, n_users=arguments.users, events_per_user=n, cover_size=16
        )
        with tempfile.TemporaryDirectory() as folder:
            world = plant(Path(folder) / "world", config)
            rows.append({"events_per_user": n, **measured(world, arguments.trials, Path(folder))})
        print(rows[-1], flush=True)
    print(json.dumps({
        "projects": arguments.size, "users": arguments.users, "trials": arguments.trials,
        "curve": rows,
    }))  # fmt: skip


def measured(world: PlantedWorld, n_trials: int, folder: Path) -> dict[str, float]:
    """Shares of what the true factors reach."""
    events = pl.read_parquet(world.folder / "interactions.parquet").filter(kind="view")
    pairs = events.select("user_id", "project_id", confidence=pl.lit(2.0, pl.Float32))
    matrix = build_matrix(pairs.unique())
    question = of_known_users(matrix, SHOWN, len(matrix.user_ids), 0)
    validation = validation_question(matrix, SHOWN, len(matrix.user_ids), 0)
    truth = world.scores(question.user_ids, matrix.project_ids)
    best = recall(question, lambda a, b: truth[a:b])
    found = {"true": best, "true_projects": recall(question, placed(world, question)) / best}
    fitting = Fitting(N_FACTORS)
    for name, method in METHODS.items():
        found[name] = recall(question, by_factors(question, method, fitting)) / best
        search = Search(
            method, fitting, TRIED, "recall_at_20", n_trials, folder / f"{name}.journal", name
        )
        row = tune(search, validation, _quiet).row(0, named=True)
        chosen = {key: row[key] for key in search.space()}
        per_user = search.value(question, chosen)
        found[f"{name}_tuned"] = float(np.nanmean(per_user)) / best
    return found


def recall(question: Question, score: Score) -> float:
    """Mean recall@20."""
    return float(np.nanmean(rank_users(question, score, 0)[:, 0]))


def placed(world: PlantedWorld, question: Question) -> Score:
    """Users where their shown events are likeliest; projects and popularity are true."""
    ids = question.train.project_ids
    projects = torch.tensor(world.projects.rows(ids))
    column = IndexedVectors(world.projects.ids, world.popularity[:, None])
    popularity = torch.tensor(column.rows(ids)[:, 0])
    shown = torch.tensor((question.shown.toarray() > 0).astype(np.float32))
    users = torch.zeros(len(shown), projects.shape[1], requires_grad=True)
    descent = torch.optim.Adam([users], lr=0.05)
    for _ in range(300):
        odds = world.affinity * users @ projects.T + popularity
        likely = (shown * odds).sum(1) - shown.sum(1) * torch.logsumexp(odds, 1)
        loss = (world.affinity / 2 * users.square().sum(1) - likely).sum()
        descent.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        descent.step()
    scores: Matrix = (world.affinity * users @ projects.T + popularity).detach().numpy()
    return lambda a, b: scores[a:b]


def _quiet(done: int, total: int, settings: dict[str, Any], value: float) -> None:
    pass


if __name__ == "__main__":
    main()
