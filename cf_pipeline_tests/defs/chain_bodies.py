"""The bodies of the assets of `chain`. Tests load them from a copy, which they can edit."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from cf_pipeline.recompute.stage import Output, Stage
from cf_pipeline_tests.defs.chain import script

WHO = "u"
NOON = datetime(2026, 1, 1, 12)
NOON = datetime(2026, 1, 1, 12)


def project_split(stage: Stage) -> Output:
    """The projects of the script."""
    shown = script.enter(stage)
    rows = {"project_id": list(script.projects), "split": list(script.projects.values())}
    return Output({"project_split": pl.DataFrame(rows)}, shown)


def pruned_matrix(stage: Stage) -> Output:
    """One user, who has every train project: test projects make no difference to it."""
    shown = script.enter(stage)
    train = stage.frame("project_split", "project_id", where="split = 'train'")
    # Everybody is as sure as the next.
    rows = train.select(
        pl.lit(WHO).alias("user_id"),
        "project_id",
        confidence=pl.lit(1.0, pl.Float32),
        occurred_at=pl.lit(None, pl.Datetime("us")),
    )
    return Output({"pruned_matrix": rows}, shown)


def latent_factors(stage: Stage) -> Output:
    """A vector of one number: how many test projects there are."""
    shown = script.enter(stage)
    n_test = stage.frame("project_split", "project_id", where="split = 'test'").height
    row = {"side": "user", "id": WHO, "factors": [float(n_test)], "folded_in": False}
    types = {"factors": pl.Array(pl.Float32, 1)}
    return Output({"latent_factors": pl.DataFrame([row], schema_overrides=types)}, shown)


def trained_cnn(stage: Stage) -> Output:
    """A model that is known by how many entries the matrix has."""
    shown = script.enter(stage)
    n = stage.frame("pruned_matrix").height
    model = {"model_version": "m", "artifact": "a", "manifest": str(n), "trained_at": NOON}
    curve = {"model_version": "m", "epoch": 1, "name": "n", "value": float(n)}
    seen = {"model_version": "m", "project_id": "a", "split": "train"}
    tables = {"trained_cnn": model, "training_history": curve, "trained_on": seen}
    return Output({name: pl.DataFrame([row]) for name, row in tables.items()}, shown, scope="m")
