"""Every configured task in one table."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cf_pipeline.benchmark.task_loaders.loader import TaskLoader
from cf_pipeline.benchmark.tasks import (
    DRAW_SCHEMA,
    FACT_SCHEMA,
    IMAGE_SCHEMA,
    REJECTED_SCHEMA,
    SeenError,
    TaskRules,
    read_task,
)
from cf_pipeline.vectors import Progress, silent

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tasks:
    """Images of all tasks, what was turned away, further draws, and a row of facts a task."""

    images: pl.DataFrame
    rejected: pl.DataFrame
    draws: pl.DataFrame
    facts: pl.DataFrame
    absent: tuple[str, ...] = ()

    def tables(self) -> dict[str, pl.DataFrame]:
        """Rows of benchmark_tasks and its companions."""
        return {
            "benchmark_tasks": self.images,
            "benchmark_tasks_rejected": self.rejected,
            "benchmark_task_draws": self.draws,
            "benchmark_task_facts": self.facts,
        }


def read_tasks(
    loaders: Mapping[str, TaskLoader], rules: TaskRules, progress: Progress = silent
) -> Tasks:
    """Read every labelled set; without any the tables are empty.

    Absent is an optional set that is not there, and one that the network of this home has seen.

    Args:
        loaders: task to what reads it.
        rules: how images are checked and split.
        progress: hears images checked.

    Raises:
        ConfigError: a set that is not optional is not where its settings say.
        DataError: a set cannot be used.
    """
    absent = [name for name, one in loaders.items() if one.optional and not one.is_there()]
    tasks = []
    for name, loader in sorted(loaders.items()):
        if name in absent:
            continue
        try:
            tasks.append(read_task(name, loader, rules, progress))
        except SeenError as error:
            logger.warning("%s; the task is left out", error)
            absent.append(name)
    return Tasks(
        pl.concat([pl.DataFrame(schema=IMAGE_SCHEMA), *(task.images for task in tasks)]),
        pl.concat([pl.DataFrame(schema=REJECTED_SCHEMA), *(task.rejected for task in tasks)]),
        pl.concat([pl.DataFrame(schema=DRAW_SCHEMA), *(task.draws for task in tasks)]),
        pl.DataFrame([task.facts for task in tasks], schema=FACT_SCHEMA),
        tuple(sorted(absent)),
    )


def summarize(tasks: Tasks) -> dict[str, float | str]:
    """Images and classes per task and split, what was turned away, and what is not there."""
    figures: dict[str, float | str] = {"rejected": tasks.rejected.height}
    if tasks.absent:
        figures["absent"] = ", ".join(tasks.absent)
    classes = pl.col("labels").explode().drop_nulls().n_unique()
    counts = tasks.images.group_by("task", "split", maintain_order=True).agg(pl.len(), classes)
    for task, split, images, n_classes in counts.iter_rows():
        figures[f"{task}_{split}_images"] = images
        figures[f"{task}_{split}_classes"] = n_classes
    for facts in tasks.facts.iter_rows(named=True):
        task = facts["task"]
        figures |= {
            f"{task}_listed_found_used": f"{facts['n_listed']}, {facts['n_found']}, "
            f"{facts['n_used']}",
            f"{task}_test_images_seen_in_train": facts["n_test_seen"],
        }
        if facts["left_out"]:
            figures[f"{task}_classes_left_out"] = ", ".join(facts["left_out"])
    return figures


def example_images(images: pl.DataFrame, n: int = 120) -> list[Path]:
    """Some labelled images for a picture: the first of every class, then the second, and so on.

    Args:
        images: `task, image_id, labels, path`.
        n: at most so many.
    """
    ordered = images.with_columns(first=pl.col("labels").list.first().fill_null("")).sort(
        "task", "first", "image_id"
    )
    turn = pl.int_range(pl.len()).over("task", "first")
    chosen = ordered.with_columns(turn=turn).sort("turn", "task", "first").head(n)
    return [Path(path) for path in chosen["path"]]
