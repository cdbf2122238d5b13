import hashlib

import polars as pl
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.vision.config import CoversConfig
from cf_pipeline.vision.cover_table import (
    build_cover_table,
    largest_look_groups,
    summarize,
)
from cf_pipeline_tests.vision.pictures import drawing, noise, saved

CONFIG = CoversConfig()


@pytest.fixture
def table(tmp_path):
    """Two that look alike, their exact copy, another, a broken, an absent and an unnamed one."""
    images = {"b": drawing(1), "a": drawing(1, side=64), "d": drawing(2)}
    paths = {name: saved(image, tmp_path / f"{name}.png") for name, image in images.items()}
    paths["c"] = tmp_path / "c.png"
    paths["c"].write_bytes(paths["b"].read_bytes())
    paths["broken"] = tmp_path / "broken.png"
    paths["broken"].write_bytes(b"no picture")
    paths["absent"] = tmp_path / "absent.png"
    rows = [
        {
            "project_id": name,
            "path": str(path),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None,
        }
        for name, path in paths.items()
    ]
    projects = pl.DataFrame({"project_id": ["unnamed", *paths]})
    return build_cover_table(projects, pl.DataFrame(rows), CONFIG, threads=1)


def test_one_row_per_project_sorted_with_what_was_found(table):
    assert table.columns == [
        "project_id",
        "path",
        "sha256",
        "width",
        "height",
        "format",
        "status",
        "reason",
        "look_group",
        "look_component",
    ]
    assert table["project_id"].to_list() == ["a", "absent", "b", "broken", "c", "d", "unnamed"]
    statuses = dict(table.select("project_id", "status").iter_rows())
    assert statuses == {
        **dict.fromkeys("abcd", "ok"),
        "broken": "unreadable",
        "absent": "missing",
        "unnamed": "missing",
    }
    assert table.filter(pl.col("status") != "ok")["reason"].null_count() == 0
    assert table.filter(project_id="a").select("width", "height", "format").row(0) == (
        64,
        64,
        "PNG",
    )


def test_who_looks_alike_is_one_group(table):
    groups = dict(table.select("project_id", "look_group").iter_rows())
    assert (groups["a"], groups["b"], groups["c"], groups["d"]) == ("a", "a", "a", "d")
    assert groups["broken"] is groups["absent"] is groups["unnamed"] is None


def test_summary(table):
    assert summarize(table) == {
        "covers_ok": 4,
        "covers_missing": 2,
        "covers_unreadable": 1,
        "look_groups": 2,
        "largest_look_group": 3,
        "look_components": 2,
        "largest_look_component": 3,
    }


def test_the_largest_groups_are_shown_as_different_files(table):
    groups, captions = largest_look_groups(table)
    assert [[path.name for path in group] for group in groups] == [["a.png", "b.png"], ["d.png"]]
    assert captions == ["2 different files", "1 different files"]
    groups, _ = largest_look_groups(table, n_groups=1, n_covers=1)
    assert [[path.name for path in group] for group in groups] == [["a.png"]]


def test_the_order_of_rows_does_not_matter(table, tmp_path):
    files = table.drop_nulls("path").select("project_id", "path", "sha256").reverse()
    again = build_cover_table(table.reverse(), files, CONFIG, threads=1)
    assert again.equals(table)


def test_not_one_readable_cover(tmp_path):
    projects = pl.DataFrame({"project_id": ["a", "b"]})
    files = pl.DataFrame({
        "project_id": ["a"],
        "path": [str(tmp_path / "gone.png")],
        "sha256": pl.Series([None], dtype=pl.String),
    })
    with pytest.raises(DataError, match=r"none of 2 covers .*no cover is named.*covers\.folder"):
        build_cover_table(projects, files, CONFIG, threads=1)


def test_progress_hears_every_cover(tmp_path):
    path = saved(noise(), tmp_path / "a.png")
    seen = []
    build_cover_table(
        pl.DataFrame({"project_id": ["a"]}),
        pl.DataFrame({"project_id": ["a"], "path": [str(path)], "sha256": ["x"]}),
        CONFIG,
        threads=1,
        progress=lambda done, total, _: seen.append((done, total)),
    )
    assert seen[-1] == (1, 1)
