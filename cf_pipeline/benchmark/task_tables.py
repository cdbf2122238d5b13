"""Every configured task in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.tasks import read_task
from cf_pipeline.errors import ConfigError
from cf_pipeline.vectors import Progress, silent
from cf_pipeline.vision.config import CoversConfig


@dataclass(frozen=True)
class Tasks:
    """Images of all tasks, rows turned away, and test images that look like a train image."""

    images: pl.DataFrame
    rejected: pl.DataFrame
    n_test_seen: Mapping[str, int]


def read_tasks(
    folders: Mapping[str, Path],
    config: BenchmarkConfig,
    covers: CoversConfig,
    n_threads: int,
    progress: Progress = silent,
) -> Tasks:
    """Read the labelled set in every folder.

    Args:
        folders: task to the folder that holds its labels.csv.
        config: share and seed of splits that a set does not bring itself.
        covers: how images are checked.
        n_threads: for decoding.
        progress: hears images checked.

    Raises:
        ConfigError: there are no tasks, or a folder is not there.
        DataError: a set cannot be used.
    """
    if not folders:
        raise ConfigError(
            "benchmark.tasks is empty; expected task names with folders, such as "
            "--set benchmark.tasks.noto_emoji=data/noto_emoji."
        )
    tasks = {
        name: read_task(name, folder, config, covers, n_threads, progress)
        for name, folder in folders.items()
    }
    return Tasks(
        pl.concat([task.images for task in tasks.values()]),
        pl.concat([task.rejected for task in tasks.values()]),
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
