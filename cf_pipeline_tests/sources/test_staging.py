"""From files to Parquet in a scratch folder, and what a run says about it."""

from __future__ import annotations

from pathlib import Path

import duckdb

from cf_pipeline.sources.staging import Staged, export_interactions, export_projects
from cf_pipeline_tests.sources.conftest import DatasetMaker


def rows(staged: Staged, table: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as con:
        return con.execute(staged.tables[table]).fetchall()


def test_rows_and_rejected_rows_can_be_read_back(
    make_dataset: DatasetMaker, tmp_path: Path
) -> None:
    dataset = make_dataset({
        "interactions.csv": "user,project,kind\nu1,01398047,view\n,2,view\nu,2,x\nu2,2,like\n"
    })
    scratch = tmp_path / "it's [1] scratch"
    scratch.mkdir()
    staged = export_interactions(dataset, scratch)
    assert {row[:3] for row in rows(staged, "raw_interactions")} == {
        ("u1", "01398047", "view"),
        ("u2", "2", "like"),
    }
    assert len(rows(staged, "raw_interactions_rejected")) == 2
    assert staged.summary == {
        "rows_read": 4,
        "rows_used": 2,
        "rows_rejected": 2,
        "reasons_for_rejection": "no user: 1, unknown kind: 1",
    }


def test_projects_have_their_own_files(make_dataset: DatasetMaker, tmp_path: Path) -> None:
    dataset = make_dataset()
    interactions = export_interactions(dataset, tmp_path)
    projects = export_projects(dataset, tmp_path)
    assert projects.tables.keys() == {"raw_projects", "raw_projects_rejected"}
    assert [row[0] for row in rows(projects, "raw_projects")] == ["01398047", "2"]
    assert projects.summary["reasons_for_rejection"] == "none"
    assert len(rows(interactions, "raw_interactions")) == 2
