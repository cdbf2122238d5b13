"""`init`: what it writes is read without an edit, whatever files and columns are called."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.sources.dataset import Dataset, load_dataset
from cf_pipeline.sources.doctor import examine
from cf_pipeline.sources.feature_files import batches
from cf_pipeline.sources.files import feature_files
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
    assert dataset.interactions.files == ("log/*-*.csv.gz",)
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


def catalogue(folder: Path, **dialect: str) -> None:
    write(folder / "works.csv", WORKS, "id title author topic", **dialect)
    pictures(folder / "pics", [row[0] for row in WORKS])


def test_years_beside_another_table_and_kinds_that_come_later(tmp_path: Path) -> None:
    catalogue(tmp_path)
    write(tmp_path / "2023.csv", VISITS[:200], "user work action moment")
    later = [(*row[:2], "bought", row[3]) for row in VISITS[200:]]
    write(tmp_path / "2024.csv", later, "user work action moment")
    dataset = written(tmp_path)
    assert dataset.interactions.files == ("2023.csv", "2024.csv")
    assert set(dataset.kinds) == {"saw", "kept", "bought"}


def test_months_in_names_with_dots_and_files_of_other_columns(tmp_path: Path) -> None:
    catalogue(tmp_path)
    write(tmp_path / "events.2024-01.csv", VISITS[:200], "user work action moment")
    write(tmp_path / "events.2024-02.csv", VISITS[200:], "user work action moment")
    write(tmp_path / "events.2024-03.csv", [(n, n) for n in range(9)], "number square")
    found = found_in(tmp_path)
    assert found.interactions.files == ("events.2024-01.csv", "events.2024-02.csv")
    assert found.left_out == ["events.2024-03.csv"]
    assert written(tmp_path).interactions.files == found.interactions.files


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (lambda n: 1600000000123 + 1000 * (n // 7), 'TRY_CAST("ts" AS DOUBLE) / 1000'),
        (lambda n: f"{n % 27 + 1:02}.03.2024 10:{n % 60:02}", "try_strptime"),
        (lambda n: f"2024-03-{n % 27 + 1:02} 10:00:00", "ts"),
    ],
)
def test_who_is_no_session_and_when_is_read(
    tmp_path: Path, stamp: Callable[[int], object], expected: str
) -> None:
    catalogue(tmp_path)
    rows = [
        (f"s{n}", u, p, stamp(n), f"10.0.0.{n % 250}") for n, (u, p, *_) in enumerate(VISITS)
    ]  # fmt: skip
    write(tmp_path / "events.csv", rows, "user_session user_id item ts user_ip")
    dataset = written(tmp_path)
    assert dataset.interactions.columns.user_id == "user_id"
    assert (dataset.interactions.columns.occurred_at or "").startswith(expected)


def test_days_that_may_be_months_are_asked_for(tmp_path: Path) -> None:
    catalogue(tmp_path)
    rows = [(u, p, f"{n % 12 + 1:02}/{n % 11 + 1:02}/2024") for n, (u, p, *_) in enumerate(VISITS)]
    write(tmp_path / "events.csv", rows, "user item day")
    assert written(tmp_path).interactions.columns.occurred_at is None
    assert "Unsure: 'day' may be a time" in (tmp_path / "dataset.toml").read_text()


def test_quotes_that_come_late_are_quotes(tmp_path: Path) -> None:
    works = [
        (f"w{n:03}", f"Work {n}" if n < 350 else f'A "work", {n}', f"m{n % 4}") for n in range(400)
    ]
    write(tmp_path / "works.csv", works, "id title author")
    pictures(tmp_path / "pics", [row[0] for row in works])
    events = [(f"k{n % 30}", works[n % 400][0]) for n in range(900)]
    write(tmp_path / "events.csv", events, "user work")
    dataset = written(tmp_path)
    assert dataset.projects.quote == '"'
    assert not [f for f in examine(dataset, LIMITS) if f.level != "ok" and "broken" in f.message]


def test_row_numbers_of_pandas_and_no_header_of_unique_words(tmp_path: Path) -> None:
    numbered = [(n, *row) for n, row in enumerate(WORKS)]
    write(tmp_path / "works.csv", numbered, None)
    text = (tmp_path / "works.csv").read_text()
    (tmp_path / "works.csv").write_text(",id,title,author,topic\n" + text)
    pictures(tmp_path / "pics", [row[0] for row in WORKS])
    write(tmp_path / "events.csv", [row[:3] for row in VISITS], None)
    dataset = written(tmp_path)
    said = dataset.projects.columns
    assert (said.project_id, said.title, said.owners) == ("id", "title", "author")
    assert not dataset.interactions.header
    (tmp_path / "works.csv").unlink()
    plain = [(f"w{n:03}", f"Work {n}") for n in range(40)]
    write(tmp_path / "works.csv", plain, None)
    assert not written(tmp_path).projects.header


def test_marks_within_values_cut_no_line(tmp_path: Path) -> None:
    films = [(row[0], f"{row[1]} (1999)", f"Drama|{row[3]}") for row in WORKS]
    write(tmp_path / "films.csv", films, "film title genres")
    pictures(tmp_path / "posters", [row[0] for row in WORKS])
    agent = "Mozilla/5.0 (X11; Linux x86_64)"
    events = [(u, p, agent) for u, p, *_ in VISITS]
    write(tmp_path / "events.csv", events, "user film agent")
    found = found_in(tmp_path)
    assert (found.projects.label, found.interactions.label) == ("films.csv", "events.csv")
    assert found.project_columns["field"] == "split_part(\"genres\", '|', 1)"


def test_vectors_in_the_place_of_pictures(tmp_path: Path) -> None:
    write(tmp_path / "works.csv", WORKS, "id title author topic")
    write(tmp_path / "events.csv", VISITS, "user work action moment")
    before = {*tmp_path.iterdir()}
    with pytest.raises(DataError, match="neither a picture nor a vector"):
        found_in(tmp_path)
    assert {*tmp_path.iterdir()} == before
    vectors = np.random.default_rng(0).normal(size=(len(WORKS), 128)).astype("<f4")
    ids = [row[0] for row in WORKS]
    np.save(tmp_path / "deep.npy", vectors)
    (tmp_path / "deep_ids.txt").write_text("\n".join(ids) + "\n")
    records = b"".join(
        id_.ljust(8).encode() + v.tobytes() for id_, v in zip(ids, vectors, strict=True)
    )
    (tmp_path / "Released.b.gz").write_bytes(gzip.compress(records))
    table = pl.DataFrame(
        {"work": ids, "clip": vectors.tolist()}, schema_overrides={"clip": pl.List(pl.Float32)}
    )
    table.write_parquet(tmp_path / "clip.parquet")
    (tmp_path / "other.b").write_bytes(b"nobody knows")
    (tmp_path / "again").mkdir()
    np.save(tmp_path / "again" / "deep.npy", vectors)
    (tmp_path / "again" / "ids").write_text("\n".join(ids))
    dataset = written(tmp_path)
    assert [f.name for f in dataset.features] == ["released", "deep", "clip", "deep_2"]
    for features in dataset.features:
        loaded = [
            batch
            for file in feature_files(dataset, features)
            for batch in batches(dataset, features, file)
        ]
        assert [id_ for batch in loaded for id_ in batch.ids] == ids
        assert np.allclose(np.concatenate([batch.vectors for batch in loaded]), vectors)
    assert '# files = ["other.b"]' in dataset.path.read_text()


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
