"""wandb runs of assets: what their configuration holds, evaluations with tables and pictures."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from cf_pipeline.defs.assets import STAGES
from cf_pipeline.defs.stage import Stage
from cf_pipeline.tracking import Tracker


def tracker_of(stage: Stage) -> Tracker:
    """Where this home's runs are tracked, as the configuration says."""
    tracking = stage.configuration.tracking
    return Tracker(stage.wandb_folder, tracking.project, tracking.mode)


def versions_read(stage: Stage) -> dict[str, Any]:
    """Data version of every parent, and the words of the configuration."""
    return {
        "recipe": stage.configuration.recipe,
        "budget": stage.configuration.budget,
        "data_versions": {p: stage.version(p) for p in STAGES[stage.asset].parents},
    }


def track_evaluation(
    stage: Stage, model: str, tables: Mapping[str, pl.DataFrame], pictures: Mapping[str, bytes]
) -> str:
    """One run of an evaluation, grouped by the Dagster run; returns where it is."""
    facts = {"model_version": model, **versions_read(stage)}
    with tracker_of(stage).run(
        stage.asset, group=stage.run_id, configuration=facts, kind="evaluation"
    ) as tracked:
        for name, table in tables.items():
            tracked.table(name, table)
        for name, png in pictures.items():
            tracked.image(name, png, name.replace("_", " "))
        for row in next(iter(tables.values())).iter_rows(named=True):
            tracked.summarize({_score_name(row): row["value"]})
    return tracked.location or "not tracked"


def _score_name(row: Mapping[str, Any]) -> str:
    """`test/color/ndcg_at_10` or `noto_emoji/color/mean_class_accuracy`."""
    return f"{row.get('split', row.get('task'))}/{row['feature_set']}/" + str(
        row.get("measure", row.get("metric"))
    )
