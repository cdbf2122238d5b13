"""What stands outside the warehouse, as one hash per asset: contents, never dates.

`touch` changes nothing here. Folders are part of it, because tables hold absolute paths: a data
set that moved is read again and its versions stay the same, so the wave stops there.
"""

from collections.abc import Sequence
from pathlib import Path

from cf_pipeline.benchmark.tasks import task_files
from cf_pipeline.recipes.configuration import Configuration, configuration_hash
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.files import cover_paths, covers_folder, interaction_files, project_files
from cf_pipeline.storage.file_hashes import hash_files
from cf_pipeline.storage.warehouse import Warehouse

REPOSITORY = Path(__file__).parents[2]


def of_interactions(dataset: Dataset, _: Configuration, warehouse: Warehouse) -> str:
    """The interaction files."""
    return _contents(warehouse, interaction_files(dataset))


def of_projects(dataset: Dataset, _: Configuration, warehouse: Warehouse) -> str:
    """The project files."""
    return _contents(warehouse, project_files(dataset))


def of_covers(dataset: Dataset, _: Configuration, warehouse: Warehouse) -> str:
    """Every cover that raw_projects names, and where they lie."""
    covers = warehouse.frame("raw_projects", ("project_id", "cover"))["cover"].drop_nulls()
    return _contents(warehouse, [covers_folder(dataset), *cover_paths(dataset, covers.to_list())])


def of_cover_folder(dataset: Dataset, _: Configuration, __: Warehouse) -> str:
    """Where covers lie, for tables that hold their paths."""
    return configuration_hash({"folder": str(covers_folder(dataset))})


def of_tasks(_: Dataset, configuration: Configuration, warehouse: Warehouse) -> str:
    """Labels and images of every benchmark task."""
    folders = list(task_folders(configuration).values())
    files = [file for folder in folders for file in task_files(folder)]
    return _contents(warehouse, [*folders, *files])


def task_folders(configuration: Configuration) -> dict[str, Path]:
    """Task to its folder; a relative one starts at the repository root, where data/ lies."""
    return {
        name: REPOSITORY / Path(folder).expanduser()
        for name, folder in sorted(configuration.benchmark.tasks.items())
    }


def _contents(warehouse: Warehouse, paths: Sequence[Path]) -> str:
    hashes = hash_files(warehouse, [path for path in paths if not path.is_dir()])
    return configuration_hash({
        "folders": [str(path) for path in paths if path.is_dir()],
        "files": sorted(
            (Path(path).name, digest or "missing")
            for path, digest in hashes.select("path", "sha256").iter_rows()
        ),
    })
