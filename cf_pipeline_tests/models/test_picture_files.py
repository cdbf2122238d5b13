"""Features of files from anywhere, some of which are no pictures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.models import picture_files as module
from cf_pipeline.models.embedder import Embedder
from cf_pipeline.models.picture_files import embed_files, pictures_in
from cf_pipeline_tests.models.searchable_home import PROJECTS, SearchableHome


@pytest.fixture(scope="module")
def embedder(searchable: SearchableHome) -> Embedder:
    return Embedder(searchable.home, searchable.version)


@pytest.fixture
def files(searchable: SearchableHome, tmp_path: Path) -> list[Path]:
    """Pictures with files between them that are none."""
    empty, cut, named = (tmp_path / name for name in ("empty.png", "cut.png", "gone.png"))
    empty.touch()
    cut.write_bytes(searchable.pictures["p01"].read_bytes()[:90])
    covers = [searchable.pictures[project] for project in PROJECTS]
    return [empty, *covers[:3], cut, *covers[3:], named]


def test_what_cannot_be_read_is_recorded_among_the_rest(
    searchable: SearchableHome,
    embedder: Embedder,
    files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FILES_AT_ONCE", 5)
    heard: list[tuple[int, int]] = []
    out = tmp_path / "x.parquet"
    given = embed_files(
        embedder, files, out, progress=lambda done, total, _: heard.append((done, total))
    )
    assert (given.n_read, given.files) == (12, (out,))
    assert list(given.unreadable) == [files[0], files[4], files[-1]]
    rows = pl.read_parquet(out)
    assert rows["path"].to_list() == [str(file) for file in files]
    bad = rows.filter(status="unreadable")
    assert bad["path"].to_list() == [str(files[row]) for row in (0, 4, 15 - 1)]
    assert "empty file" in bad["reason"][0]
    assert bad["collaborative"].null_count() == bad["features"].null_count() == 3
    good = rows.filter(status="ok")
    assert good["reason"].null_count() == 12
    # The same vectors as the home has for the same bytes, whatever batch they are in.
    assert good["predicted_factors"].to_numpy() == pytest.approx(searchable.predicted, abs=1e-5)
    places = embedder.space("collaborative").places().vectors
    assert good["collaborative"].to_numpy() == pytest.approx(places, abs=1e-5)
    assert heard[-1] == (15, 15)
    assert heard == sorted(heard)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_matrix_has_the_pictures_that_could_be_read(
    embedder: Embedder, files: list[Path], tmp_path: Path
) -> None:
    given = embed_files(embedder, files, tmp_path / "x.npy")
    matrix, rows = np.load(given.files[0]), pl.read_csv(given.files[1])
    assert len(matrix) == rows.height == 12
    assert rows["path"].to_list() == [str(files[row]) for row in (*range(1, 4), *range(5, 14))]


def test_nothing_but_files_that_are_none(embedder: Embedder, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    given = embed_files(embedder, [bad], tmp_path / "x.parquet")
    assert given.n_read == 0
    rows = pl.read_parquet(tmp_path / "x.parquet")
    assert rows["features"].dtype == pl.Array(pl.Float32, 256)
    assert rows["features"].to_list() == [None]


def test_a_place_that_cannot_be_written(embedder: Embedder, files: list[Path], tmp_path) -> None:
    with pytest.raises(DataError, match=r"cannot be written: .* Choose another place"):
        embed_files(embedder, files[1:2], tmp_path / "no" / "x.parquet")
    with pytest.raises(ConfigError, match=r"got \.csv"):
        embed_files(embedder, files[1:2], tmp_path / "x.csv")


def test_a_name_that_is_no_text_is_written_as_far_as_it_is(
    embedder: Embedder, searchable: SearchableHome, tmp_path: Path
) -> None:
    names = (os.fsdecode(b"good\xff.png"), os.fsdecode(b"bad\xff.png"))
    good, bad = (tmp_path / name for name in names)
    good.write_bytes(searchable.pictures["p01"].read_bytes())
    bad.touch()
    given = embed_files(embedder, [good, bad], tmp_path / "x.parquet")
    assert pl.read_parquet(tmp_path / "x.parquet")["path"].to_list() == [
        str(tmp_path / "good\ufffd.png"),
        str(tmp_path / "bad\ufffd.png"),
    ]
    assert "bad\ufffd.png" in given.unreadable[bad]


def test_folders_are_searched_for_what_is_named_as_a_picture(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    for name in ("b.jpg", "a.PNG", "notes.txt", "below/c.webp", "d.pdf"):
        (tmp_path / name).touch()
    notes = tmp_path / "notes.txt"
    assert pictures_in([tmp_path, notes, notes]) == [
        tmp_path / "a.PNG",
        tmp_path / "b.jpg",
        below / "c.webp",
        notes,
    ]
    with pytest.raises(DataError, match=r"nowhere is not there. Expected picture files"):
        pictures_in([tmp_path / "nowhere"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"no picture below .*empty: no file ends with one of"):
        pictures_in([empty])
