"""`init`: what it writes is read without an edit, whatever files and columns are called."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import duckdb
import pytest

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.sources.dataset import Dataset, load_dataset
from cf_pipeline.sources.doctor import examine
from cf_pipeline.sources.guessing import Guess, guess
from cf_pipeline.sources.initial import description
from cf_pipeline.sources.survey import survey
from cf_pipeline_tests.sources.conftest import LIMITS

WORKS = [(f"w{n:03}", f"Work {n}", f"maker{n % 4}", ("chair", "table")[n % 2]) for n in range(40)]
VISITS = [
    (f"k{n % 30}", WORKS[(n * 7 + n % 30) % 40][0], ("saw", "kept")[n % 5 == 0], 1600000000 + n)
    for n in range(400)
]


def write(path: Path, rows: list[tuple[object, ...]], header: str | None, **dialect: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = dialect.pop("encoding", "utf-8")
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding=encoding, newline="") as file:
        writer = csv.writer(file, **dialect)  # type: ignore[arg-type]
        if header is not None:
            writer.writerow(header.split())
        writer.writerows(rows)


def pictures(folder: Path, ids: list[str], suffix: str = ".jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for id_ in ids:
        (folder / f"{id_}{suffix}").write_bytes(b"x")


def found_in(folder: Path) -> Guess:
    with duckdb.connect() as con:
        return guess(con, survey(con, folder))


def written(folder: Path) -> Dataset:
    """What init writes, loaded; the doctor sees no error in it."""
    (folder / "dataset.toml").write_text(description(found_in(folder), "mine", ""))
    dataset = load_dataset(folder / "dataset.toml")
    errors = [f for f in examine(dataset, LIMITS) if f.level == "error"]
    assert errors == []
    return dataset


def test_csv_files_with_other_names_parts_and_a_folder_of_pictures(tmp_path: Path) -> None:
    write(tmp_path / "log" / "2024-01.csv.gz", VISITS[:200], "customer artwork verb moment")
    write(tmp_path / "log" / "2024-02.csv.gz", VISITS[200:], "customer artwork verb moment")
    write(tmp_path / "catalogue.csv", WORKS, "code headline artist section", delimiter=";")
    pictures(tmp_path / "img" / "small", [row[0] for row in WORKS])
    (tmp_path / "README.txt").write_text("Not a table.")
    dataset = written(tmp_path)
    assert dataset.interactions.files == ("log/2024-*.csv.gz",)
    columns = dataset.interactions.columns
    assert (columns.user_id, columns.project_id, columns.kind) == ("customer", "artwork", "verb")
    assert columns.occurred_at == "moment"
    assert list(dataset.kinds) == ["saw", "kept"]
    projects = dataset.projects
    assert (projects.files, projects.delimiter) == (("catalogue.csv",), ";")
    said = projects.columns
    assert (said.project_id, said.title, said.owners) == ("code", "headline", "artist")
    assert (said.field, said.cover) == ("section", "\"code\" || '.jpg'")
    assert dataset.covers is not None
    assert dataset.covers.folder == "img/small"


def test_files_without_a_header_in_latin_1_with_ratings(tmp_path: Path) -> None:
    """As MovieLens-1M is downloaded, with users' numbers among those of films."""
    films = [f"{n}::Film {n} é (19{n:02})::Drama|Comédie" for n in range(1, 41)]
    rated = [
        f"{n % 30 + 1}::{(n * 7 + n % 30) % 40 + 1}::{n % 5 + 1}::{978300000 + n}"
        for n in range(400)
    ]
    (tmp_path / "movies.dat").write_text("\n".join(films), encoding="latin-1")
    (tmp_path / "ratings.dat").write_text("\n".join(rated))
    pictures(tmp_path / "posters", [str(n) for n in range(1, 41)], ".webp")
    found = found_in(tmp_path)
    assert (found.interactions.label, found.projects.label) == ("ratings.dat", "movies.dat")
    assert found.projects.reading.encoding == "latin-1"
    assert found.projects.reading.delimiter == "::"
    dataset = written(tmp_path)
    assert dataset.interactions.columns.project_id == "column2"
    assert dataset.interactions.columns.user_id == "column1"


def test_a_cover_column_a_prefix_of_owners_and_the_words_of_kinds(tmp_path: Path) -> None:
    works = [(*row, f"{row[0][-1]}/{row[0]}.png") for row in WORKS]
    write(tmp_path / "works.tsv", works, "id title author topic file", delimiter="\t")
    for row in works:
        pictures(tmp_path / "covers" / row[0][-1], [row[0]], ".png")
    events = [(f"person:{u}", p, kind) for u, p, kind, _ in VISITS]
    events += [(f"person:{row[2]}", row[0], "ownership") for row in WORKS]
    write(tmp_path / "events.csv", events, "who work action")
    dataset = written(tmp_path)
    assert dataset.projects.columns.cover == "file"
    assert dataset.covers is not None
    assert dataset.covers.folder == "covers"
    assert dataset.users.owner_user == "person:{owner}"
    assert not dataset.kinds["ownership"].truth
    assert dataset.kinds["saw"].truth


def test_stars_become_two_kinds_and_what_is_unsure_is_said(tmp_path: Path) -> None:
    write(tmp_path / "items.csv", WORKS, "item name brand category")
    pictures(tmp_path / "pics", [row[0] for row in WORKS])
    rows = [(u, p, 1 + n % 10 / 2) for n, (u, p, _, _) in enumerate(VISITS)]
    write(tmp_path / "scores.csv", rows, "uid item stars")
    dataset = written(tmp_path)
    assert list(dataset.kinds) == ["view", "appreciation"]
    assert 'TRY_CAST("stars" AS DOUBLE) >= 4.4' in dataset.interactions.columns.kind
    assert "Unsure: 'stars' of 4.4 and more" in dataset.path.read_text()


def test_a_folder_without_two_tables_that_meet_is_told(tmp_path: Path) -> None:
    write(tmp_path / "works.csv", WORKS, "id title author topic")
    with pytest.raises(DataError, match=r"no two tables .* Tables: works.csv; pictures: 0"):
        found_in(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        found_in(tmp_path / "works.csv")


def test_unknown_keys_are_never_written(tmp_path: Path) -> None:
    """A kind of any name is a key that TOML can hold."""
    events = [(u, p, f'say "{kind}" ü') for u, p, kind, _ in VISITS]
    write(tmp_path / "events.csv", events, "user work action")
    write(tmp_path / "works.csv", WORKS, "work title author topic")
    pictures(tmp_path / "pics", [row[0] for row in WORKS])
    assert set(written(tmp_path).kinds) == {'say "saw" ü', 'say "kept" ü'}
    with pytest.raises(ConfigError):
        load_dataset(tmp_path / "none.toml")
