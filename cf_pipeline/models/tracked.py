"""wandb runs of assets: what their configuration holds, evaluations with tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE, IMAGENET
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.tracking import Tracker

if TYPE_CHECKING:
    from cf_pipeline.benchmark.inputs import SimilarityInputs
    from cf_pipeline.benchmark.probing import Probes
    from cf_pipeline.benchmark.similarity import SimilarityTables


def tracker_of(stage: Stage) -> Tracker:
    """Where this home's runs are tracked, as the configuration says."""
    tracking = stage.configuration.tracking
    return Tracker(stage.wandb_folder, tracking.project, tracking.mode)


def versions_read(stage: Stage) -> dict[str, Any]:
    """Data version of every parent, and the words of the configuration."""
    return {
        "recipe": stage.configuration.recipe,
        "budget": stage.configuration.budget,
        "data_versions": {p: stage.version(p) for p in stage.spec.parents},
    }


def track_evaluation(
    stage: Stage, model: str, tables: Mapping[str, pl.DataFrame], pictures: Mapping[str, bytes]
) -> str:
    """One run of an evaluation, grouped by the Dagster run; returns where it is."""
    facts = {"model_version": model, **versions_read(stage)}
    with tracker_of(stage).run(
        stage.asset, group=stage.run.run_id, configuration=facts, kind="evaluation"
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


def similarity_pictures(
    stage: Stage, inputs: SimilarityInputs, result: SimilarityTables
) -> dict[str, bytes]:
    """PNG by name: a panel of neighbours by the chosen layer, and bars of every measure."""
    from cf_pipeline.benchmark.neighbours import nearest_by, panel_rows
    from cf_pipeline.figures.panels import retrieval_panel
    from cf_pipeline.figures.scores import score_bars

    bars = {
        f"{measure}_bars": score_bars(rows, measure, f"{measure}, test")
        for measure, rows in result.rows_by_measure("test")
    }
    if not stage.has_covers:
        return bars
    rows = nearest_by(inputs, result.chosen, stage.configuration.benchmark)
    covers = stage.frame("covers", "project_id", "path", where="status = 'ok'")
    panel = retrieval_panel(*panel_rows(rows, dict(covers.iter_rows())))
    return {"neighbours": panel, **bars}


def probe_pictures(probes: Probes) -> dict[str, bytes]:
    """PNG by name: who is taken for whom, by our features and by ImageNet's, and bars of a task."""
    from cf_pipeline.figures.scores import confusion, score_bars

    pictures = {
        f"confusion_{task}_by_{name}": confusion(
            result.confusion,
            result.classes,
            f"{task}: which class a probe on {name} takes for which",
        )
        for (task, name), result in probes.results.items()
        if name in {COLLABORATIVE, IMAGENET} and not result.multi_label
    }
    for task, metric, rows in probes.primary():
        of_all = rows.with_columns(chosen=pl.lit(value=False))
        pictures[f"{metric}_{task}"] = score_bars(of_all, metric, task)
    return pictures
