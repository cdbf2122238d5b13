"""What a labelled set is, however its makers laid it out on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, SerializeAsAny

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.registry import DOTTED, Method, Registry

if TYPE_CHECKING:
    import polars as pl

REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True)
class Draws:
    """Train sets of N images a class, drawn several times: the usual protocol of Caltech's sets.

    Attributes:
        n: how many draws.
        train_per_class: images of each class that are fitted on.
        test_per_class: images of each class that are scored, of those left; None: all of them.
    """

    n: int
    train_per_class: int
    test_per_class: int | None = None


class TaskLoader(Method):
    """Base of the readers of labelled sets; its fields say where the set lies.

    A loader has `folder_read` and `read`. Where `read` opens files, it names them in `lists`.
    """

    optional: bool = Field(
        False, description="Leave the task out where the set is not there, instead of failing."
    )
    leave_out: tuple[str, ...] = Field((), description="Labels that are left out.")
    min_per_class: int = Field(
        1, ge=1, description="Fewest usable images of a class; smaller classes are left out."
    )
    told: tuple[str, ...] = Field(
        (),
        description="Feature sets whose makers were told labels much like these: the scores of "
        "what stands on them say so.",
    )

    def folder_read(self) -> Path:
        """The folder that paths of images begin with."""
        raise NotImplementedError

    def lists(self) -> list[Path]:
        """The files that say which images there are and what they are labelled as."""
        return []

    def files(self) -> list[Path]:
        """Every file that `read` opens or names, there or not: what staleness looks at.

        Raises nothing: of a set that cannot be read it names the files that say so.
        """
        lists = self.lists()
        if not self.is_there():
            return lists or [self.folder_read()]
        try:
            paths = self.read()["path"].drop_nulls().unique(maintain_order=True)
        except (ConfigError, DataError):
            return lists
        return [*lists, *map(Path, paths)]

    def is_there(self) -> bool:
        """Whether the folder is."""
        return self.folder_read().is_dir()

    def read(self) -> pl.DataFrame:
        """A row per image: `image_id, path, reason`, a `label` or a list of `labels`.

        `image_id` is unique within the set; `path` is absolute; `reason` says why a row cannot be
        used, null where it can. `split`, where its makers fixed one, is `train` or `test`. All
        text.

        Raises:
            ConfigError: the set is not where the settings say.
            DataError: it is there and cannot be read.
        """
        raise NotImplementedError

    def draws(self) -> Draws | None:
        """How train is drawn, where neither the makers nor looks decide it."""
        return None

    def placeholders(self) -> frozenset[str]:
        """SHA-1 of files that a server sends in the place of pictures that are gone."""
        return frozenset()

    def variant(self) -> str | None:
        """Which of several sets of one name this is, or which rows of it count."""
        return None


TASK_LOADERS = Registry(
    sort="task loader",
    base="cf_pipeline.benchmark.task_loaders.loader:TaskLoader",
    entries={
        "labels_csv": "cf_pipeline.benchmark.task_loaders.labels_csv:LabelsCsv",
        "image_folder": "cf_pipeline.benchmark.task_loaders.image_folder:ImageFolder",
        "flickr_style": "cf_pipeline.benchmark.task_loaders.flickr_style:FlickrStyle",
        "wikipaintings_artgan": (
            "cf_pipeline.benchmark.task_loaders.wikipaintings_artgan:WikiPaintingsArtgan"
        ),
        "wikipaintings_karayev": (
            "cf_pipeline.benchmark.task_loaders.wikipaintings_karayev:WikiPaintingsKarayev"
        ),
        "ava_style": "cf_pipeline.benchmark.task_loaders.ava_style:AvaStyle",
        "caltech": "cf_pipeline.benchmark.task_loaders.caltech:Caltech",
    },
    entry_points="cf_pipeline.task_loaders",
)
_BUNDLED: dict[str, dict[str, Any]] = {
    "noto_emoji": {"folder": "data/noto_emoji"},
    "openclipart_fields": {
        "folder": "data/openclipart",
        "file": "projects.parquet",
        "images": "covers",
        "path_column": "cover",
        "label_column": "field",
        "min_per_class": 10,
    },
}
_ELSEWHERE: dict[str, dict[str, Any]] = {
    "caltech101": {"leave_out": ["Faces_easy"], "told": ["imagenet"]},
    "wikiart7": {},
    "flickr_style": {"name": "flickr_style"},
    "wikipaintings": {"name": "wikipaintings_artgan"},
    "ava_style": {"name": "ava_style"},
    "caltech256": {"name": "caltech"},
}
"""The talk's four sets, and two that stand in for what cannot be had."""


def expanded(folder: str) -> Path:
    """A folder as written, with `~` and variables put in; a relative one starts at the repository.

    A variable that is not set stays as it is written, so there is no such folder.
    """
    return REPOSITORY / Path(os.path.expandvars(folder)).expanduser()


def check_folder(folder: Path, what: str) -> None:
    """Refuse a folder that is not there.

    Raises:
        ConfigError: it is not.
    """
    if not folder.is_dir():
        unset = " A variable in it is not set." if "$" in str(folder) else ""
        raise ConfigError(
            f"{folder}: expected the folder of a benchmark task, {what}, there is none.{unset} "
            "Correct benchmark.tasks."
        )


def _loader(value: Any) -> Any:
    """A loader as the others are chosen, but that a bare text may also be a folder's path."""
    if isinstance(value, str) and value not in TASK_LOADERS.names() and not DOTTED.fullmatch(value):
        value = {"name": "labels_csv", "folder": value}
    return TASK_LOADERS.choose(value)


ChosenTaskLoader = Annotated[SerializeAsAny[TaskLoader], BeforeValidator(_loader)]
"""A field that holds a task loader: a folder with labels.csv, a name, or a table with `name`."""


def default_tasks() -> dict[str, dict[str, Any]]:
    """The sets that ship with the repository, and those that join where a folder has them.

    An installed package alone has only the latter.
    """
    bundled = {
        task: {"name": "labels_csv", **settings}
        for task, settings in _BUNDLED.items()
        if (REPOSITORY / settings["folder"]).is_dir()
    }
    elsewhere = {
        task: {
            "name": "labels_csv",
            "folder": f"${{CF_PIPELINE_DATASETS}}/{task}",
            "optional": True,
            **settings,
        }
        for task, settings in _ELSEWHERE.items()
    }
    return bundled | elsewhere
