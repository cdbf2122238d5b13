"""From files to Parquet in a scratch folder, and what a run says about it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from cf_pipeline.errors import ConfigError
from cf_pipeline.sources import doctor, reading
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.judging import ReadCounts
from cf_pipeline.sources.reading import (
    Limits,
    Loaded,
    export_interactions,
    export_projects,
    read_projects,
)
from cf_pipeline_tests.sources.conftest import LIMITS, DatasetMaker


def rows(loaded: Loaded, table: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as con:
        return con.execute(loaded.tables[table]).fetchall()


def test_rows_and_rejected_rows_can_be_read_back(
    make_dataset: DatasetMaker, tmp_path: Path
) -> None:
    dataset = make_dataset({
        "interactions.csv": "user,project,kind\nu1,01398047,view\n,2,view\nu,2,x\nu2,2,like\n"
    })
    scratch = tmp_path / "it's [1] scratch"
    scratch.mkdir()
    loaded = export_interactions(dataset, scratch, LIMITS)
    assert {row[:3] for row in rows(loaded, "raw_interactions")} == {
        ("u1", "01398047", "view"),
        ("u2", "2", "like"),
    }
    assert len(rows(loaded, "raw_interactions_rejected")) == 2
    assert loaded.summary == {
        "rows_read": 4,
        "rows_used": 2,
        "rows_rejected": 2,
        "reasons_for_rejection": "no user: 1, unknown kind: 1",
    }


def test_projects_have_their_own_files(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    dataset = make_dataset()
    interactions = export_interactions(dataset, tmp_path, LIMITS)
    projects = export_projects(dataset, tmp_path, LIMITS)
    assert projects.tables.keys() == {"raw_projects", "raw_projects_rejected"}
    assert [row[0] for row in rows(projects, "raw_projects")] == ["01398047", "2"]
    assert projects.summary["reasons_for_rejection"] == "none"
    assert len(rows(interactions, "raw_interactions")) == 2


def test_the_limits_hold_while_files_are_read(
    make_dataset: DatasetMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a run and for the doctor; what does not fit spills into the scratch folder."""
    seen = []

    def read(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> ReadCounts:
        names = ("memory_limit", "threads", "temp_directory")
        query = f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}"
        seen.extend(con.execute(query).fetchall())
        return read_projects(con, dataset)

    for module in (reading, doctor):
        monkeypatch.setattr(module, "read_projects", read)
    export_projects(make_dataset(), tmp_path, Limits("300MB", threads=1))
    doctor.examine(make_dataset(), Limits("300MB", threads=1))
    assert [values[:2] for values in seen] == [("286.1 MiB", 1)] * 2
    assert seen[0][2] == str(tmp_path / "spill")


def test_limits_that_duckdb_does_not_take_are_named(
    make_dataset: DatasetMaker, tmp_path: Path
) -> None:
    for limits in (Limits("much", None), Limits("1GB", -3)):
        with pytest.raises(ConfigError, match="DuckDB takes neither memory_limit"):
            export_projects(make_dataset(), tmp_path, limits)
