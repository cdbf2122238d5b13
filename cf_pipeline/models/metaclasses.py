"""Meta-class features of labelled images, each task's learned from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from cf_pipeline.benchmark.feature_sets import IMAGENET
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.sql import equals

if TYPE_CHECKING:
    from cf_pipeline.baselines.metaclass import MetaClasses
    from cf_pipeline.baselines.metaclass_config import MetaClass

_EMBEDDINGS: dict[str, Any] = {
    **dict.fromkeys(("task", "image_id"), pl.String),
    "trained_on": pl.List(pl.String),
    "features": pl.List(pl.Float32),
}
_NODES: dict[str, Any] = {
    "task": pl.String,
    **dict.fromkeys(("node", "parent"), pl.Int64),
    "classes": pl.List(pl.String),
}


def metaclass_tables(stage: Stage) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """Rows of metaclass_embeddings and its companion, and what is told of them.

    Base features are ImageNet's. A task is described by what was learned from train images of the
    other tasks, without files that it holds itself; where these have fewer than three classes, it
    has no such features.
    """
    from cf_pipeline.vectors import indexed

    images = stage.frame("benchmark_tasks", "task", "image_id", "sha256", "label", "split")
    where = equals("feature_set", IMAGENET)
    vectors = stage.frame("task_baseline_embeddings", "task", "image_id", "features", where=where)
    labelled = images.join(vectors, on=("task", "image_id")).sort("task", "image_id")
    embedded, nodes = [pl.DataFrame(schema=_EMBEDDINGS)], [pl.DataFrame(schema=_NODES)]
    facts: dict[str, Any] = {}
    config = stage.configuration.baselines.metaclass
    tasks = labelled["task"].unique().sort().to_list()
    progress = stage.progress("tasks")
    for done, task in enumerate(tasks, start=1):
        own = labelled.filter(task=task)
        others = _train_images(labelled, task)
        if others["label"].n_unique() >= 3:
            learned = _learned(others, config)
            features = indexed(own, "image_id", "features")
            described = learned.describe(features.vectors, config.binary)
            trained_on = others["task"].unique().sort().to_list()
            embedded.append(
                pl.DataFrame(
                    {
                        "task": [task] * len(described),
                        "image_id": list(features.ids),
                        "trained_on": [trained_on] * len(described),
                        "features": list(described),
                    },
                    schema=_EMBEDDINGS,
                )
            )
            nodes.append(_nodes(task, learned))
            facts[f"{task}_nodes"] = len(learned.nodes)
            facts[f"{task}_learned_from"] = f"{len(learned.classes)} classes of " + ", ".join(
                trained_on
            )
        progress(done, len(tasks), {})
    tables = {"metaclass_embeddings": pl.concat(embedded), "metaclass_nodes": pl.concat(nodes)}
    return tables, facts


def _train_images(labelled: pl.DataFrame, task: str) -> pl.DataFrame:
    """Of the other tasks, with one label, named apart; a class of a single image says nothing."""
    own = labelled.filter(task=task)["sha256"].unique()
    others = labelled.filter(
        pl.col("task") != task,
        pl.col("label").is_not_null(),
        ~pl.col("sha256").is_in(own.implode()),
        split="train",
    )
    named = others.with_columns(
        label=pl.format("{}: {}", "task", "label"), id=pl.format("{}/{}", "task", "image_id")
    )
    return named.filter(pl.len().over("label") > 1).sort("id")


def _learned(others: pl.DataFrame, config: MetaClass) -> MetaClasses:
    from cf_pipeline.baselines.metaclass import learn_metaclasses
    from cf_pipeline.vectors import indexed

    vectors = indexed(others, "id", "features")
    return learn_metaclasses(vectors.ids, others["label"].to_list(), vectors.vectors, config)


def _nodes(task: str, learned: MetaClasses) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (task, number, node.parent, [learned.classes[c] for c in node.classes])
            for number, node in enumerate(learned.nodes)
        ],
        schema=_NODES,
        orient="row",
    )
