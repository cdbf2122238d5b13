"""What a labelled set is, however its makers laid it out on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from cf_pipeline.registry import DOTTED, Method, Registry

if TYPE_CHECKING:
    import polars as pl


class TaskLoader(Method):
    """Base of the readers of labelled sets; its fields say where the set lies."""

    def folder_read(self) -> Path:
        """The folder that paths of images begin with."""
        raise NotImplementedError

    def files(self) -> list[Path]:
        """Every file that `read` opens or names, there or not: what staleness looks at.

        Raises nothing: of a set that cannot be read it names the file that says so.
        """
        raise NotImplementedError

    def read(self) -> pl.DataFrame:
        """A row per image: `image_id, path, label, reason`, and `split` where its makers fixed one.

        `image_id` is unique within the set; `path` is absolute; `reason` says why a row cannot be
        used, null where it can; `split` is `train` or `test`. All text.

        Raises:
            ConfigError: the set is not where the settings say.
            DataError: it is there and cannot be read.
        """
        raise NotImplementedError


TASK_LOADERS = Registry(
    sort="task loader",
    base="cf_pipeline.benchmark.task_loaders.loader:TaskLoader",
    entries={"labels_csv": "cf_pipeline.benchmark.task_loaders.labels_csv:LabelsCsv"},
    entry_points="cf_pipeline.task_loaders",
)
REPOSITORY = Path(__file__).parents[3]
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
