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
    folder = covers_folder(dataset)
    return _below(warehouse, [folder], cover_paths(dataset, covers.to_list()))


def of_cover_folder(dataset: Dataset, _: Configuration, __: Warehouse) -> str:
    """Where covers lie, for tables that hold their paths."""
    return configuration_hash({"folder": str(covers_folder(dataset))})


def of_vision_weights(_: Dataset, configuration: Configuration, warehouse: Warehouse) -> str:
    """The file that the network starts from; the installed package's has its hash in the code."""
    weights = configuration.vision.weights
    return _contents(warehouse, [Path(weights)] if weights else [])


def of_imagenet_weights(_: Dataset, configuration: Configuration, warehouse: Warehouse) -> str:
    """The file of the labelled network; the installed package's has its hash in the code."""
    weights = configuration.baselines.imagenet_weights
    return _contents(warehouse, [Path(weights)] if weights else [])


def of_tasks(_: Dataset, configuration: Configuration, warehouse: Warehouse) -> str:
    """Labels and images of every benchmark task."""
    folders = list(task_folders(configuration).values())
    files = [file for folder in folders for file in task_files(folder)]
    return _below(warehouse, folders, files)


def task_folders(configuration: Configuration) -> dict[str, Path]:
    """Task to its folder; a relative one starts at the repository root, where data/ lies."""
    return {
        name: REPOSITORY / Path(folder).expanduser()
        for name, folder in sorted(configuration.benchmark.tasks.items())
    }


def _contents(warehouse: Warehouse, files: Sequence[Path]) -> str:
    """Of tables that hold no path: names and contents, wherever they lie."""
    hashes = hash_files(warehouse, files)["sha256"]
    return configuration_hash({
        "files": sorted(
            (file.name, digest or "missing") for file, digest in zip(files, hashes, strict=True)
        )
    })


def _below(warehouse: Warehouse, folders: Sequence[Path], files: Sequence[Path]) -> str:
    """Of tables that hold paths: the folders, and each file's whole path with its content."""
    hashes = hash_files(warehouse, files)["sha256"]
    return configuration_hash({
        "folders": [str(folder) for folder in folders],
        "files": sorted(
            (str(file), digest or "missing") for file, digest in zip(files, hashes, strict=True)
        ),
    })
