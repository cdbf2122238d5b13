"""Every configured task in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cf_pipeline.benchmark.task_loaders.loader import TaskLoader
from cf_pipeline.benchmark.tasks import TaskRules, read_task
from cf_pipeline.vectors import Progress, silent

_TEXTS = ("task", "image_id", "path", "sha256", "label", "split", "look_component")
_IMAGES = pl.DataFrame(schema=dict.fromkeys(_TEXTS, pl.String))
_REJECTED = pl.DataFrame(
    schema=dict.fromkeys(("task", "image_id", "path", "label", "reason"), pl.String)
)


@dataclass(frozen=True)
class Tasks:
    """Images of all tasks, rows turned away, and test images that look like a train image."""

    images: pl.DataFrame
    rejected: pl.DataFrame
    n_test_seen: Mapping[str, int]


def read_tasks(
    loaders: Mapping[str, TaskLoader], rules: TaskRules, progress: Progress = silent
) -> Tasks:
    """Read every labelled set; without any the tables are empty.

    Args:
        loaders: task to what reads it.
        rules: how images are checked and split.
        progress: hears images checked.

    Raises:
        ConfigError: a set is not where its settings say.
        DataError: a set cannot be used.
    """
    tasks = {
        name: read_task(name, loader, rules, progress) for name, loader in sorted(loaders.items())
    }
    return Tasks(
        pl.concat([_IMAGES, *(task.images for task in tasks.values())]),
        pl.concat([_REJECTED, *(task.rejected for task in tasks.values())]),
        {name: task.n_test_seen for name, task in tasks.items()},
    )


def summarize(tasks: Tasks) -> dict[str, float]:
    """Images and classes per task and split, and what was turned away."""
    figures: dict[str, float] = {"rejected": tasks.rejected.height}
    for (task, split), images in tasks.images.group_by("task", "split", maintain_order=True):
        figures[f"{task}_{split}_images"] = images.height
        figures[f"{task}_{split}_classes"] = images["label"].n_unique()
    for task, n in tasks.n_test_seen.items():
        figures[f"{task}_test_images_seen_in_train"] = n
    return figures


def example_images(images: pl.DataFrame, n: int = 120) -> list[Path]:
    """Some labelled images for a picture: the first of every class, then the second, and so on.

    Args:
        images: `task, image_id, label, path`.
        n: at most so many.
    """
    ordered = images.sort("task", "label", "image_id")
    turn = pl.int_range(pl.len()).over("task", "label")
    chosen = ordered.with_columns(turn=turn).sort("turn", "task", "label").head(n)
    return [Path(path) for path in chosen["path"]]
