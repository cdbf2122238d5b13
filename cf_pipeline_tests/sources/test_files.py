from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.sources.description import Interactions
from cf_pipeline.sources.files import (
    FileFormat,
    check_contents,
    cover_paths,
    format_of,
    interaction_files,
    project_files,
)
from cf_pipeline_tests.sources.conftest import DatasetMaker

TABLE = Interactions.model_validate({
    "files": ["x"],
    "columns": {"user_id": "u", "project_id": "p", "kind": "k"},
})


def test_globs_are_sorted_and_each_file_comes_once(make_dataset: DatasetMaker) -> None:
    files: dict[str, str | bytes] = {"logs/b.csv": "x", "logs/a.csv": "x", "logs/2024/c.csv": "x"}
    dataset = make_dataset(files, interactions='files = ["logs/*.csv", "logs/**/*.csv"]')
    found = [str(path.relative_to(dataset.root)) for path in interaction_files(dataset)]
    assert found == ["logs/2024/c.csv", "logs/a.csv", "logs/b.csv"]


def test_a_name_with_brackets_is_a_name(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset({"log[1].csv": "x", "log1.csv": "y"}, projects='files = ["log[1].csv"]')
    assert [path.name for path in project_files(dataset)] == ["log[1].csv"]


def test_a_file_beside_itself_unpacked_is_not_counted_twice(make_dataset: DatasetMaker) -> None:
    files: dict[str, str | bytes] = {"logs/a.csv": "x", "logs/a.csv.gz": b"x"}
    dataset = make_dataset(files, interactions='files = ["logs/*"]')
    with pytest.raises(ConfigError, match=r"match .*a\.csv\.gz and the same unpacked"):
        interaction_files(dataset)


def test_a_pattern_that_matches_nothing(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset(interactions='files = ["logs/*.csv"]')
    with pytest.raises(ConfigError, match=r"No file matches 'logs/\*\.csv' \(interactions\.files"):
        interaction_files(dataset)


def test_variables_expand(
    make_dataset: DatasetMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.csv").write_text("x")
    monkeypatch.setenv("SOME_FOLDER", str(tmp_path / "elsewhere"))
    dataset = make_dataset(interactions='files = ["${SOME_FOLDER}/a.csv"]')
    assert interaction_files(dataset) == [tmp_path / "elsewhere" / "a.csv"]


def test_a_variable_that_is_not_set_is_named(
    make_dataset: DatasetMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_FOLDER", raising=False)
    dataset = make_dataset(interactions='files = ["${SOME_FOLDER}/a.csv"]')
    with pytest.raises(ConfigError, match=r"needs the environment variable SOME_FOLDER.*export"):
        interaction_files(dataset)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.parquet", FileFormat("parquet", "none")),
        ("a.CSV", FileFormat("csv", "none")),
        ("a.tsv.gz", FileFormat("tsv", "gzip")),
        ("a.jsonl.zst", FileFormat("jsonl", "zstd")),
        ("a.ndjson.zstd", FileFormat("jsonl", "zstd")),
    ],
)
def test_format_by_suffix(name: str, expected: FileFormat) -> None:
    assert format_of(Path(name), TABLE) == expected


def test_format_by_key_goes_before_the_suffix() -> None:
    table = TABLE.model_copy(update={"format": "csv"})
    assert format_of(Path("movies.dat.gz"), table) == FileFormat("csv", "gzip")


def test_unknown_suffix_names_the_key() -> None:
    with pytest.raises(ConfigError, match=r"'\.dat' does not say .*format = \"csv\""):
        format_of(Path("movies.dat"), TABLE)


def test_parquet_is_not_read_through_gzip() -> None:
    with pytest.raises(ConfigError, match="compresses inside the file"):
        format_of(Path("a.parquet.gz"), TABLE)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.parquet", b"user,project\nu1,p1\n", "expected a Parquet file .* begins like text"),
        ("a.parquet", b"PAR1 and then it was cut off", "begins like Parquet"),
        ("a.csv.gz", b"user,project\nu1,p1\n", "expected a gzip stream of csv"),
        ("a.csv.zst", b"user,project\nu1,p1\n", "expected a zstd stream of csv"),
        ("a.csv", b"\x1f\x8b\x08\x00", "expected csv text, .* begins like gzip"),
        ("a.csv", b"PAR1xxxxPAR1", "expected csv text, .* begins like Parquet"),
        ("a.jsonl", b"\x89PNG\r\n\x1a\n\0\0", "expected jsonl text, .* begins like binary data"),
        ("a.csv", b"", "is empty .* expected csv text"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=expected) as caught:
        check_contents(path, format_of(path, TABLE), "utf-8")
    assert str(path) in str(caught.value)
    assert "Export it again" in str(caught.value)


def zstd_bytes(path: Path, con: duckdb.DuckDBPyConnection) -> bytes:
    con.execute(
        "COPY (SELECT hash(range) AS a FROM range(50000)) "
        f"TO '{path}' (FORMAT csv, COMPRESSION zstd)"
    )
    return path.read_bytes()


def test_zstd_streams_are_walked_to_their_end(
    tmp_path: Path, con: duckdb.DuckDBPyConnection
) -> None:
    path = tmp_path / "a.csv.zst"
    whole = zstd_bytes(path, con)
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    for content in (whole, whole + whole, whole + skippable + whole):
        path.write_bytes(content)
        check_contents(path, FileFormat("csv", "zstd"), "utf-8")
    for cut in (5, 7, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=f"{path.name} is cut off or damaged"):
            check_contents(path, FileFormat("csv", "zstd"), "utf-8")


def test_covers_lie_below_their_folder(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset({"covers/a.png": b"x"})
    folder = dataset.root / "covers"
    given = ["a.png", "x/../b.png", str(folder / "c.png")]
    assert cover_paths(dataset, given) == [folder / "a.png", folder / "b.png", folder / "c.png"]


@pytest.mark.parametrize("cover", ["../secret.png", "a/../../secret.png", "/etc/passwd", ""])
def test_covers_do_not_lead_out_of_their_folder(make_dataset: DatasetMaker, cover: str) -> None:
    dataset = make_dataset({"covers/a.png": b"x", "secret.png": b"x"})
    with pytest.raises(DataError, match=r"1 of 2 covers lead out .*projects\.columns\.cover"):
        cover_paths(dataset, ["a.png", cover])


def test_a_missing_cover_folder_names_the_key(make_dataset: DatasetMaker) -> None:
    dataset = make_dataset()
    with pytest.raises(ConfigError, match=r"covers does not exist \(covers\.folder = 'covers'"):
        cover_paths(dataset, [])
