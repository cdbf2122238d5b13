"""The data sets that come with the project, and the templates for others."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from cf_pipeline.sources.dataset import TEMPLATES, load_dataset
from cf_pipeline.sources.doctor import examine
from cf_pipeline.sources.files import cover_paths, interaction_files
from cf_pipeline.sources.reading import read_interactions, read_projects
from cf_pipeline_tests.sources.conftest import LIMITS

DATA = Path(__file__).parents[2] / "data"
OPENCLIPART = DATA / "openclipart"
EXCLUDE = OPENCLIPART / "exclude_label_boards.py"

needs_datasets = pytest.mark.skipif(
    not (Path(os.environ.get("CF_PIPELINE_DATASETS", "")) / "movielens_posters").is_dir()
    or "CF_PIPELINE_DATASETS" not in os.environ,
    reason="CF_PIPELINE_DATASETS names no folder with movielens_posters",
)


def one(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


def test_open_clip_art(con: duckdb.DuckDBPyConnection) -> None:
    dataset = load_dataset(OPENCLIPART / "dataset.toml")
    interactions = read_interactions(con, dataset)
    projects = read_projects(con, dataset)
    assert (interactions.read, interactions.used) == (38_396, 38_396)
    assert (projects.read, projects.used) == (8_117, 8_117)
    kinds = con.execute("SELECT kind, count(*) FROM loaded_interactions GROUP BY 1").fetchall()
    assert dict(kinds) == {"ownership": 8_056, "collection": 30_340}
    assert one(con, "SELECT count(DISTINCT user_id) FROM loaded_interactions") == 2_599
    assert one(con, "SELECT count(*) FROM loaded_projects WHERE owners IS NULL") == 61
    assert one(con, "SELECT count(DISTINCT field) FROM loaded_projects") == 22
    assert one(con, "SELECT count(split_group) FROM loaded_projects") == 0
    excluded = dataset.users.exclude_users
    assert len(set(excluded)) == 118
    n_excluded = con.execute(
        "SELECT count(*) FROM loaded_interactions WHERE user_id IN (SELECT unnest(?))",
        [list(excluded)],
    ).fetchone()
    assert n_excluded == (13_834,)


def test_open_clip_art_counts_as_its_design_says() -> None:
    dataset = load_dataset(OPENCLIPART / "dataset.toml")
    assert dataset.kinds["ownership"].matrix
    assert not dataset.kinds["ownership"].truth
    assert dataset.kinds["collection"].truth
    assert dataset.users.owner_user == "contributor:{owner}"
    assert dataset.projects.columns.split_group is None


def test_the_doctor_has_nothing_to_say_of_open_clip_art() -> None:
    findings = examine(load_dataset(OPENCLIPART / "dataset.toml"), LIMITS)
    assert {finding.level for finding in findings} == {"ok"}
    assert len(findings) == 9


def test_the_list_of_excluded_boards_is_the_computed_one(tmp_path: Path) -> None:
    checked = subprocess.run(
        [sys.executable, str(EXCLUDE), "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout == "118 boards, as dataset.toml says\n"


def test_the_check_notices_another_list(tmp_path: Path) -> None:
    for name in ("interactions.parquet", "projects.parquet"):
        (tmp_path / name).symlink_to(OPENCLIPART / name)
    (tmp_path / EXCLUDE.name).write_bytes(EXCLUDE.read_bytes())
    text = (OPENCLIPART / "dataset.toml").read_text()
    (tmp_path / "dataset.toml").write_text(text.replace('"board:animals"', '"board:antelopes"'))
    checked = subprocess.run(
        [sys.executable, str(tmp_path / EXCLUDE.name), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 1
    assert "missing ['board:animals'], too many ['board:antelopes']" in checked.stdout


def test_noto_emoji() -> None:
    folder = DATA / "noto_emoji"
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1_352
    labels = Counter(row["label"] for row in rows)
    assert (len(labels), min(labels.values()), max(labels.values())) == (56, 10, 82)
    assert len({row["group"] for row in rows}) == 8
    assert all((folder / row["path"]).is_file() for row in rows)


def test_the_template_reads_and_shows_every_key() -> None:
    text = (TEMPLATES / "dataset.toml").read_text()
    dataset = load_dataset(TEMPLATES / "dataset.toml")
    assert dataset.name == "my_projects"
    for model in (
        type(dataset),
        type(dataset.interactions),
        type(dataset.interactions.columns),
        type(dataset.kinds["view"]),
        type(dataset.projects.columns),
        type(dataset.covers),
        type(dataset.users),
        type(dataset.split),
        type(dataset.truth),
    ):
        for name, field in model.model_fields.items():
            assert name in text, f"{name} is not in the template"
            if field.description is not None:
                assert field.description.endswith(".")


def test_what_stands_commented_out_in_the_template_can_be_switched_on(tmp_path: Path) -> None:
    lines = (TEMPLATES / "dataset.toml").read_text().splitlines()
    keys = [
        line.removeprefix("# ") if line[:2] == "# " and line[2:3] != " " else line for line in lines
    ]
    switched_on = "\n".join(
        line if " = " in line.split("#")[0] or line.startswith("[") else "" for line in keys
    )
    (tmp_path / "dataset.toml").write_text(switched_on)
    dataset = load_dataset(tmp_path / "dataset.toml")
    assert dataset.interactions.columns.occurred_at == "when"
    assert dataset.interactions.null == r"\N"
    assert dataset.projects.columns.split_group == "shoot"


@pytest.mark.parametrize("name", ["movielens_1m", "movielens_small"])
def test_movielens_templates_load_without_the_data(name: str) -> None:
    dataset = load_dataset(TEMPLATES / f"{name}.toml")
    assert dataset.name == name
    assert dataset.truth.min_degree == 10
    assert dataset.split.max_component_share == 0.1


@needs_datasets
def test_movielens_1m(con: duckdb.DuckDBPyConnection) -> None:
    dataset = load_dataset(TEMPLATES / "movielens_1m.toml")
    assert read_interactions(con, dataset).used == 1_000_209
    assert read_projects(con, dataset).used == 3_883
    row = con.execute(
        "SELECT title, split_group, stratum, field, tags, cover FROM loaded_projects "
        "WHERE project_id = '73'"
    ).fetchone()
    assert row is not None
    # Latin-1 in the file: the e of Misérables.
    assert row[0] == "Misérables, Les (1995)"
    assert row[1:] == ("1995", "1995", "Drama", ["Drama", "Musical"], "73.webp")
    strata = "SELECT count(*) FROM loaded_projects WHERE stratum::INT % 5 <> 0"
    assert one(con, strata) == 0
    assert one(con, "SELECT count(*) FROM loaded_projects WHERE split_group IS NULL") == 0
    assert cover_paths(dataset, ["73.webp"])[0].is_file()


@needs_datasets
def test_movielens_small(con: duckdb.DuckDBPyConnection) -> None:
    dataset = load_dataset(TEMPLATES / "movielens_small.toml")
    assert interaction_files(dataset)[0].name == "ml-latest-small_ratings.csv"
    assert read_interactions(con, dataset).used == 100_836
    kinds = con.execute("SELECT kind, count(*) FROM loaded_interactions GROUP BY 1").fetchall()
    assert dict(kinds) == {"appreciation": 48_580, "view": 52_256}
    assert one(con, "SELECT year(min(occurred_at)) FROM loaded_interactions") == 1996
    assert read_projects(con, dataset).used == 9_742
