"""What stands outside the warehouse, as one hash per asset: contents, never dates.

`touch` changes nothing here. Folders are part of it where tables hold absolute paths: a data set
that moved is read again and its versions stay the same, so the wave stops there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cf_pipeline.configuration.choices import Configuration, configuration_hash
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.files import (
    check_contents,
    cover_paths,
    covers_folder,
    feature_files,
    format_of,
    ids_file,
    interaction_files,
    project_files,
)
from cf_pipeline.storage.file_hashes import hash_files
from cf_pipeline.storage.warehouse import Warehouse

_MOST_LISTED = 50
"""Covers and labelled images have their hashes in their own tables."""


class Located(NamedTuple):
    """Files that an asset reads, and the folders that its table's paths begin with."""

    files: list[Path]
    folders: list[Path]


@dataclass(frozen=True)
class SourceFiles:
    """The files outside the warehouse that one asset reads.

    Attributes:
        locate: where they lie.
        by_path: whether whole paths count, for tables that hold them, or names alone.
        check: looks at the first and last bytes of each; raises DataError where a file is not
            what its name says, as while it is being written.
    """

    locate: Callable[[Dataset, Configuration, Warehouse], Located]
    by_path: bool = False
    check: Callable[[Dataset], None] = lambda _: None

    def __call__(self, dataset: Dataset, configuration: Configuration, warehouse: Warehouse) -> str:
        """The fingerprint: names or paths, and contents."""
        files, folders = self.locate(dataset, configuration, warehouse)
        hashes = hash_files(warehouse, files)["sha256"]
        contents = sorted(
            (str(file) if self.by_path else file.name, digest or "missing")
            for file, digest in zip(files, hashes, strict=True)
        )
        if not self.by_path:
            return configuration_hash({"files": contents})
        return configuration_hash({"folders": [str(f) for f in folders], "files": contents})

    def listing(
        self, dataset: Dataset, configuration: Configuration, warehouse: Warehouse
    ) -> dict[str, Any]:
        """For lineage: how many files, and each with its hash where they are few."""
        files, folders = self.locate(dataset, configuration, warehouse)
        listed: dict[str, Any] = {"n": len(files), "folders": [str(f) for f in folders]}
        if len(files) <= _MOST_LISTED:
            hashes = hash_files(warehouse, files)["sha256"].to_list()
            listed["sha256"] = dict(zip(map(str, files), hashes, strict=True))
        return listed

    def glance(self, dataset: Dataset, configuration: Configuration, warehouse: Warehouse) -> str:
        """A hash of the files' names, sizes and dates, cheap enough to ask every few seconds."""
        files, folders = self.locate(dataset, configuration, warehouse)
        seen = sorted((str(file), *_size_and_time(file)) for file in files)
        return configuration_hash({"folders": [str(f) for f in folders], "files": seen})


def _size_and_time(file: Path) -> tuple[int, int]:
    try:
        status = os.stat(file)
    except OSError:
        return (-1, 0)  # missing is a state, too
    return status.st_size, status.st_mtime_ns


def _interactions(dataset: Dataset, _: Configuration, __: Warehouse) -> Located:
    return Located(interaction_files(dataset), [])


def _projects(dataset: Dataset, _: Configuration, __: Warehouse) -> Located:
    return Located(project_files(dataset), [])


def _cover_folder(dataset: Dataset, _: Configuration, __: Warehouse) -> Located:
    return Located([], [covers_folder(dataset)] if dataset.covers else [])


def _vision_weights(_: Dataset, configuration: Configuration, __: Warehouse) -> Located:
    return Located(configuration.vision.backbone.files(), [])


def _imagenet_weights(_: Dataset, configuration: Configuration, __: Warehouse) -> Located:
    return Located(configuration.baselines.imagenet.backbone.files(), [])


def _features(dataset: Dataset, _: Configuration, __: Warehouse) -> Located:
    files = [file for one in dataset.features for file in feature_files(dataset, one)]
    ids = [ids_file(dataset, one) for one in dataset.features if one.ids is not None]
    return Located([*files, *ids], [])


def _covers(dataset: Dataset, _: Configuration, warehouse: Warehouse) -> Located:
    if dataset.covers is None:
        return Located([], [])
    named = warehouse.frame("raw_projects", ("project_id", "cover"))["cover"].drop_nulls()
    return Located(cover_paths(dataset, named.to_list()), [covers_folder(dataset)])


def _tasks(_: Dataset, configuration: Configuration, __: Warehouse) -> Located:
    loaders = [loader for _, loader in sorted(configuration.benchmark.tasks.items())]
    files = [file for loader in loaders for file in loader.files()]
    return Located(files, [loader.folder_read() for loader in loaders])


def _check_interactions(dataset: Dataset) -> None:
    for file in interaction_files(dataset):
        table = dataset.interactions
        check_contents(file, format_of(file, table), table.encoding)


def _check_projects(dataset: Dataset) -> None:
    for file in project_files(dataset):
        table = dataset.projects
        check_contents(file, format_of(file, table), table.encoding)


of_interactions = SourceFiles(_interactions, check=_check_interactions)
"""The interaction files."""
of_projects = SourceFiles(_projects, check=_check_projects)
"""The project files."""
of_features = SourceFiles(_features)
"""The files of vectors from outside."""
of_covers = SourceFiles(_covers, by_path=True)
"""Every cover that raw_projects names, and where they lie."""
of_cover_folder = SourceFiles(_cover_folder, by_path=True)
"""Where covers lie, for tables that hold their paths."""
of_vision_weights = SourceFiles(_vision_weights)
"""The file that the network starts from; the installed package's has its hash in the code."""
of_imagenet_weights = SourceFiles(_imagenet_weights)
"""The file of the labelled network; the installed package's has its hash in the code."""
of_tasks = SourceFiles(_tasks, by_path=True)
"""Labels and images of every benchmark task."""
