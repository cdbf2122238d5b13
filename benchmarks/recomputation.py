"""What an edit computes again, and how long that takes: on a copy of a home, or on a planted one.

    python benchmarks/recomputation.py --size 300
    python benchmarks/recomputation.py --home data/home

Home, data set and labelled tasks are copied and changed there; the home itself is only read. Its
copy is settled once before any edit, which is the first row: tables hold paths. Nothing runs but
what the sensors of the daemon would start. A home that older code wrote is computed anew in the
first row, training included. The last line is one JSON object: edit to assets, seconds and covers.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cf_pipeline.benchmark.report import markdown
from cf_pipeline.benchmark.task_loaders.loader import TaskLoader
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.defs.running import run_pipeline
from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.sources.files import covers_folder, interaction_files, project_files
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import holder_of
from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.planted import plant
from cf_pipeline_tests.end_to_end import edits
from cf_pipeline_tests.end_to_end.edits import Place
from cf_pipeline_tests.end_to_end.planted_run import small_choices


@dataclass(frozen=True)
class Recomputed:
    """What followed an edit: assets in the order in which they were computed."""

    assets: list[str]
    seconds: float
    covers_embedded: dict[str, int]


def main() -> None:
    """Edit, settle, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, help="a finished home; none: a planted one")
    parser.add_argument("--size", type=int, default=300, help="projects of the planted world")
    parser.add_argument("--work", type=Path, help="where the copies lie; none: where temporary")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as text:
        folder = Path(text)
        if arguments.home:
            place = copied(Home.locate(arguments.home), folder)
        else:
            place = planted(arguments.size, folder)
        results = {name: measured(place, edit) for name, edit in every_edit(folder).items()}
    rows = [row_of(name, result) for name, result in results.items()]
    print(markdown(["edit", "recomputed, in this order", "seconds", "covers embedded"], rows))
    print(json.dumps({name: asdict(result) for name, result in results.items()}))


def every_edit(folder: Path) -> dict[str, Callable[[Place], list[str]]]:
    """What is done to a place, and settled; the first is what a copy's other paths ask for."""

    def then_settle(edit: Callable[[Place], object]) -> Callable[[Place], list[str]]:
        def run(place: Place) -> list[str]:
            edit(place)
            return place.settle()

        return run

    def with_comments(place: Place) -> list[str]:
        return place.settle_with(edits.edited_package(folder / "source", edits.commented))

    return {
        "no edit": Place.settle,
        "touch on every source": then_settle(edits.touch_sources),
        "a comment in every source file of the project": with_comments,
        "one cover of a test project": then_settle(edits.change_cover),
        "one interaction of a known user": then_settle(edits.add_interaction),
        "vision.epochs": then_settle(edits.train_longer),
    }


def measured(place: Place, edit: Callable[[Place], list[str]]) -> Recomputed:
    """Make an edit and settle."""
    started = time.monotonic()
    assets = edit(place)
    seconds = round(time.monotonic() - started, 1)
    covers = {name: n for name, n in place.covers_embedded().items() if name in assets}
    return Recomputed(assets, seconds, covers)


def row_of(name: str, result: Recomputed) -> list[str]:
    """A row of the table."""
    covers = ", ".join(f"{n:,} in {asset}" for asset, n in result.covers_embedded.items())
    return [name, ", ".join(result.assets) or "nothing", f"{result.seconds:.1f}", covers or "none"]


def planted(size: int, folder: Path) -> Place:
    """A home with a full run on a planted world of so many projects."""
    config = PlantedConfig(n_users=max(60, size * 2 // 3), n_projects=size, cover_size=32)
    home = Home(folder / "home")
    home.create()
    small_choices(plant(folder / "world", config)).write(home.config_path)
    outcome = run_pipeline(home, edits.DEFINITIONS)
    if outcome.failures:
        raise DataError(f"the first run failed: {dict(outcome.failures)}. Try a larger --size.")
    return Place(home)


def copied(source: Home, folder: Path) -> Place:
    """A copy of a home with copies of its data set and its labelled tasks, and config to match.

    Raises:
        ConfigError: a run holds the home, the data set reaches out of its folder, or a labelled
            set cannot be copied.
    """
    holder = holder_of(source)
    if holder is not None:
        raise ConfigError(f"{source.path} is held by {holder}: wait for it to end.")
    without = shutil.ignore_patterns("wandb", "scratch-*")
    home = Home(Path(shutil.copytree(source.path, folder / "home", ignore=without)))
    home.create()
    chosen = Choices.read(home.config_path)
    configuration = resolve(chosen)
    root = configuration.dataset.parent
    dataset = load_dataset(configuration.dataset)
    sources = [*interaction_files(dataset), *project_files(dataset), covers_folder(dataset)]
    outside = [str(path) for path in sources if not path.is_relative_to(root)]
    if outside:
        raise ConfigError(f"{outside[0]} is not below {root}, which is what would be copied.")
    shutil.copytree(root, folder / "dataset")
    tasks = {
        f"benchmark.tasks.{name}": copied_task(name, loader, folder / "tasks" / name)
        for name, loader in configuration.benchmark.tasks.items()
    }
    # Whatever form the tasks were chosen in: every one of them is named anew.
    kept = {k: value for k, value in chosen.set.items() if not k.startswith("benchmark.tasks.")}
    chosen.model_copy(
        update={
            "dataset": str(folder / "dataset" / configuration.dataset.name),
            "set": kept | tasks,
        }
    ).write(home.config_path)
    return Place(home)


def copied_task(name: str, loader: TaskLoader, folder: Path) -> dict[str, Any]:
    """What reads a copy of a labelled set, as a table of the configuration.

    Raises:
        ConfigError: its loader has no folder that could be another.
    """
    settings = loader.model_dump(mode="json")
    if "folder" not in settings:
        raise ConfigError(
            f"benchmark.tasks.{name} is read by {loader.name}, which has no setting `folder`: "
            "expected one, so that a copy can be read. Take the task back in a copy of the home."
        )
    return {**settings, "folder": str(shutil.copytree(loader.folder_read(), folder))}


if __name__ == "__main__":
    main()
