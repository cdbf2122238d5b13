"""What stands outside the warehouse, as one hash: contents and places, never dates."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cf_pipeline.configuration.choices import Choices, Configuration, resolve
from cf_pipeline.recompute.fingerprints import (
    of_interactions,
    of_tasks,
    of_vision_weights,
)
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline_tests.sources.conftest import write_dataset


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb", threads=1)


def with_tasks(**folders: str) -> Configuration:
    tasks = {f"benchmark.tasks.{name}": folder for name, folder in folders.items()}
    return resolve(Choices(set=tasks))


def test_interactions_by_name_and_content_wherever_they_lie(
    tmp_path: Path, warehouse: Warehouse
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    description = write_dataset(here, interactions='files = ["*.csv"]')
    (here / "projects.csv").rename(here / "projects.txt")
    configuration = with_tasks()

    def fingerprint(folder: Path) -> str:
        return of_interactions(load_dataset(folder / "dataset.toml"), configuration, warehouse)

    before = fingerprint(description.parent)
    shutil.copytree(here, there)
    assert fingerprint(there) == before
    os.utime(there / "interactions.csv", (1, 1))
    assert fingerprint(there) == before
    (there / "more.csv").write_text("user,project,kind\n")
    one_more = fingerprint(there)
    (there / "more.csv").write_text("user,project,kind\nu,p,view\n")
    assert len({before, one_more, fingerprint(there)}) == 3


def test_tasks_by_labels_images_and_folder(tmp_path: Path, warehouse: Warehouse) -> None:
    folder = tmp_path / "task"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    (folder / "labels.csv").write_text("path,label\na/1.png,x\nb/1.png,y\n")
    (folder / "a" / "1.png").write_bytes(b"1")
    (folder / "b" / "1.png").write_bytes(b"2")
    dataset = load_dataset(write_dataset(tmp_path))

    def fingerprint(path: Path) -> str:
        return of_tasks(dataset, with_tasks(noto_emoji=str(path)), warehouse)

    seen = [fingerprint(folder)]
    assert fingerprint(folder) == seen[0]
    # Swapped: the same names, the same contents.
    (folder / "a" / "1.png").write_bytes(b"2")
    (folder / "b" / "1.png").write_bytes(b"1")
    seen.append(fingerprint(folder))
    (folder / "b" / "1.png").unlink()
    seen.append(fingerprint(folder))
    (folder / "labels.csv").write_text("path,label\na/1.png,x\nb/1.png,z\n")
    seen.append(fingerprint(folder))
    seen.append(fingerprint(folder.rename(tmp_path / "moved")))
    seen.append(fingerprint(tmp_path / "nowhere"))
    assert len(set(seen)) == len(seen)


def test_weights_by_content_under_the_same_name(tmp_path: Path, warehouse: Warehouse) -> None:
    description = write_dataset(tmp_path)
    dataset = load_dataset(description)
    weights = tmp_path / "weights.pth"
    chosen = resolve(Choices().with_assignments([f"vision.backbone.weights={weights}"]))
    weights.write_bytes(b"first")
    first = of_vision_weights(dataset, chosen, warehouse)
    weights.write_bytes(b"other")
    assert of_vision_weights(dataset, chosen, warehouse) != first
    assert of_vision_weights(dataset, resolve(Choices()), warehouse) != first
