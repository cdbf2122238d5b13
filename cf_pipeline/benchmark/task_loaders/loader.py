"""What a labelled set is, however its makers laid it out on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cf_pipeline.registry import Method

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
