"""The readers of labelled sets by name, and which sets there are without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from cf_pipeline.benchmark.task_loaders.loader import TaskLoader
from cf_pipeline.registry import DOTTED, Registry

TASK_LOADERS = Registry(
    sort="task loader",
    base="cf_pipeline.benchmark.task_loaders.loader:TaskLoader",
    entries={"labels_csv": "cf_pipeline.benchmark.task_loaders.labels_csv:LabelsCsv"},
    entry_points="cf_pipeline.task_loaders",
)
REPOSITORY = Path(__file__).parents[2]
_BUNDLED = {"noto_emoji": "data/noto_emoji"}


def _loader(value: Any) -> Any:
    """A loader as the others are chosen, but that a bare text may also be a folder's path."""
    if isinstance(value, str) and value not in TASK_LOADERS.names() and not DOTTED.fullmatch(value):
        value = {"name": "labels_csv", "folder": value}
    return TASK_LOADERS.choose(value)


ChosenTaskLoader = Annotated[SerializeAsAny[TaskLoader], BeforeValidator(_loader)]
"""A field that holds a task loader: a folder with labels.csv, a name, or a table with `name`."""


def bundled_tasks() -> dict[str, dict[str, str]]:
    """The sets that ship with the repository; an installed package alone has none."""
    return {
        name: {"name": "labels_csv", "folder": path}
        for name, path in _BUNDLED.items()
        if (REPOSITORY / path).is_dir()
    }
