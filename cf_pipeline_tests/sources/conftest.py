"""A small data set on disk, each part of which a test can replace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from cf_pipeline.sources.dataset import Dataset, load_dataset
from cf_pipeline.sources.reading import Limits

INTERACTIONS = 'files = ["interactions.csv"]'
INTERACTION_COLUMNS = 'user_id = "user"\nproject_id = "project"\nkind = "kind"'
PROJECTS = 'files = ["projects.csv"]'
PROJECT_COLUMNS = 'project_id = "project"\ncover = "picture"'
KINDS = "[kinds.view]\n[kinds.like]\nweight = 2.0"

LIMITS = Limits("1GB", threads=2)

DatasetMaker = Callable[..., Dataset]


def write_dataset(
    folder: Path,
    *,
    interactions: str = INTERACTIONS,
    interaction_columns: str = INTERACTION_COLUMNS,
    projects: str = PROJECTS,
    project_columns: str = PROJECT_COLUMNS,
    kinds: str = KINDS,
    rest: str = "",
) -> Path:
    """Write a `dataset.toml` from its parts, and the files where there are none."""
    path = folder / "dataset.toml"
    path.write_text(
        f'name = "small"\n'
        f"[interactions]\n{interactions}\n[interactions.columns]\n{interaction_columns}\n"
        f"{kinds}\n"
        f"[projects]\n{projects}\n[projects.columns]\n{project_columns}\n"
        f'[covers]\nfolder = "covers"\n{rest}\n',
        encoding="utf-8",
    )
    for name, text in {
        "interactions.csv": "user,project,kind\nu1,01398047,view\nu2,2,like\n",
        "projects.csv": "project,picture\n01398047,a.png\n2,b.png\n",
    }.items():
        if not (folder / name).exists():
            (folder / name).write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def make_dataset(tmp_path: Path) -> DatasetMaker:
    """Writes parts of a data set to a temporary folder and loads it."""

    def make(files: dict[str, str | bytes] | None = None, **parts: str) -> Dataset:
        for name, content in (files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_dataset(write_dataset(tmp_path, **parts))

    return make


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory that never reaches for the network."""
    config = {"autoinstall_known_extensions": "false", "threads": "2"}
    with duckdb.connect(config=config) as connection:
        yield connection
