"""What lies in a folder: tables with a sample of their rows, pictures, files of vectors."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cf_pipeline.errors import CfPipelineError, DataError
from cf_pipeline.sources.description import TableFiles
from cf_pipeline.sources.dialects import guessed
from cf_pipeline.sources.judging import open_table
from cf_pipeline.sources.ledger import ROW, Ledger
from cf_pipeline.sql import quoted

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
_VECTOR = re.compile(r"(FLOAT|DOUBLE)\[")
VECTORS = frozenset({".npy", ".b"})
_MOST_FILES = 2_000_000
_MOST_NAMED = 50
"""Files that a `files` lists by name where no pattern means them alone."""
SAMPLE_ROWS = 1_000_000
"""Of the first file of a table that are looked at."""


@dataclass(frozen=True)
class Column:
    """A column of a table, by its sampled rows.

    Attributes:
        name: as the file has it.
        n_distinct: different values.
        n_filled: rows with a value.
        numeric: share of values that are numbers.
        low: least number.
        high: largest number.
        times: share of values that are times in words.
        is_list: whether it holds lists.
        is_vector: whether they are of fractions.
        common: most frequent values, at most twenty, as text.
    """

    name: str
    n_distinct: int
    n_filled: int
    numeric: float
    low: float | None
    high: float | None
    times: float
    is_list: bool
    is_vector: bool
    common: tuple[str, ...]


@dataclass(frozen=True)
class FoundTable:
    """A table: one file, or several alike in a folder.

    Attributes:
        files: relative to the folder that was surveyed, sorted.
        reading: how they are read; `files` is a pattern where there are several, or their names.
        sample: name of a temporary table with some rows, all text but for lists.
        n_rows: of the first file.
        columns: by name.
    """

    files: tuple[str, ...]
    reading: TableFiles
    sample: str
    n_rows: int
    columns: dict[str, Column]

    @property
    def label(self) -> str:
        """Its file, the pattern of its files, or the first of them and how many more."""
        first, *others = self.reading.files
        return f"{first} and {len(others)} more" if others else first


@dataclass
class Survey:
    """What a folder holds.

    Attributes:
        folder: absolute.
        tables: the largest first.
        pictures: relative paths of pictures.
        vectors: relative paths of files of vectors.
        unread: file to why it is no table.
    """

    folder: Path
    tables: list[FoundTable] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    vectors: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)


def survey(con: duckdb.DuckDBPyConnection, folder: Path) -> Survey:
    """Look through a folder; tables are sampled into temporary ones.

    Args:
        con: a connection of its own.
        folder: with everything below it.

    Raises:
        DataError: it is no folder, or holds too many files to look at.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder. Expected one with tables and pictures.")
    found = Survey(folder.absolute())
    tables: list[str] = []
    for name in _files(folder):
        suffix = Path(name).suffix.lower()
        if suffix in PICTURES:
            found.pictures.append(name)
        elif suffix in VECTORS or name.lower().endswith(".b.gz"):
            found.vectors.append(name)
        else:
            tables.append(name)
    for files in _parts(found, tables):
        _add(con, found, files)
    found.tables.sort(key=lambda table: -table.n_rows)
    return found


def counted_values(
    con: duckdb.DuckDBPyConnection, folder: Path, table: FoundTable, column: str
) -> list[str]:
    """Values of a column over all files and rows of a table, most frequent first."""
    counts: Counter[str] = Counter()
    for file in table.files:
        ledger = Ledger(con)
        ledger.begin(file)
        try:
            scan = open_table(con, folder / file, table.reading, ledger)
            text = f"nullif(trim(CAST({quoted(column)} AS VARCHAR)), '')"
            rows = con.execute(
                f"SELECT v, count(*) FROM (SELECT {text} AS v FROM ({scan.relation})) "
                "WHERE v IS NOT NULL GROUP BY v"
            ).fetchall()
            counts.update(dict(rows))
        finally:
            ledger.close()
    return sorted(counts, key=lambda value: (-counts[value], value))


def _files(folder: Path) -> Iterator[str]:
    n = 0
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            n += 1
            if n > _MOST_FILES:
                raise DataError(f"{folder} holds more than {_MOST_FILES:,} files. Name one below.")
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(where, name), folder)


def _parts(found: Survey, names: list[str]) -> Iterator[dict[str, TableFiles]]:
    """Files of one table, each with how it is read: names that differ in digits, equal columns."""
    groups: dict[tuple[str, str, str], dict[str, TableFiles]] = {}
    for name in names:
        path = found.folder / name
        try:
            reading = guessed(path)
            if reading is not None:
                form = re.sub(r"\d+", "0", os.path.basename(name))
                key = (os.path.dirname(name), form, _columns_of(path, reading))
                groups.setdefault(key, {})[name] = reading
        except (CfPipelineError, pa.ArrowInvalid, OSError, EOFError) as error:
            found.unread[name] = str(error).partition("\n")[0]
    yield from groups.values()


def _columns_of(path: Path, reading: TableFiles) -> str:
    """Names of columns as far as a glance tells: a schema, a first line, or how many there are."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return str(pq.read_schema(path).names)
    if not reading.header:
        return str(reading.names)
    with pa.input_stream(str(path), compression="detect") as stream:
        line = bytes(stream.read(64_000)).partition(b"\n")[0]
    is_json = any(suffix in (".jsonl", ".ndjson") for suffix in path.suffixes)
    return "" if is_json else str(line.strip())


def _add(con: duckdb.DuckDBPyConnection, found: Survey, parts: dict[str, TableFiles]) -> None:
    files = sorted(parts)
    try:
        patterns = _patterns(found.folder, files)
        reading = parts[files[0]].model_copy(update={"files": patterns})
        path = found.folder / files[0]
        found.tables.append(_sampled(con, path, tuple(files), reading, len(found.tables)))
    except (CfPipelineError, duckdb.Error, OSError) as error:
        found.unread[files[0]] = str(error).partition("\n")[0]


def _patterns(folder: Path, files: list[str]) -> tuple[str, ...]:
    """A pattern that means these files and no others, or their names."""
    if len(files) == 1:
        return (files[0],)
    where, first = os.path.split(files[0])
    pattern = os.path.join(where, re.sub(r"\d+", "*", first))
    met = sorted(os.path.relpath(path, folder) for path in glob.glob(str(folder / pattern)))
    if met == files:
        return (pattern,)
    if len(files) > _MOST_NAMED:
        raise DataError(
            f"{folder}: {pattern} matches {len(met)} files, of which {len(files)} have the same "
            "columns. Put those of one table into a folder of their own."
        )
    return tuple(files)


def _sampled(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    files: tuple[str, ...],
    reading: TableFiles,
    number: int,
) -> FoundTable:
    ledger = Ledger(con)
    ledger.begin(files[0])
    sample = f"sample_{number}"
    try:
        scan = open_table(con, path, reading, ledger)
        columns = ", ".join(map(quoted, scan.columns))
        con.execute(
            f"CREATE TEMP TABLE {sample} AS SELECT {columns} FROM ({scan.relation}) "
            f"WHERE {ROW} <= {SAMPLE_ROWS}"
        )
    finally:
        ledger.close()
    types = {row[0]: str(row[1]) for row in con.execute(f"DESCRIBE {sample}").fetchall()}
    described = {name: _column(con, sample, name, types[name]) for name in scan.columns}
    return FoundTable(files, reading, sample, scan.n_rows, described)


def _column(con: duckdb.DuckDBPyConnection, sample: str, name: str, kind: str) -> Column:
    column = quoted(name)
    is_list = "[" in kind or kind.startswith(("STRUCT", "MAP"))
    text = f"nullif(trim(CAST({column} AS VARCHAR)), '')"
    if is_list:
        [(n,)] = con.execute(f"SELECT count({column}) FROM {sample}").fetchall()
        return Column(name, int(n), int(n), 0, None, None, 0, True, bool(_VECTOR.match(kind)), ())
    is_time = kind.startswith(("TIMESTAMP", "DATE"))
    [(distinct, filled, numbers, low, high, times)] = con.execute(
        f"SELECT count(DISTINCT t), count(t), count(TRY_CAST(t AS DOUBLE)), "
        f"min(TRY_CAST(t AS DOUBLE)), max(TRY_CAST(t AS DOUBLE)), "
        f"count_if(TRY_CAST(t AS DOUBLE) IS NULL AND TRY_CAST(t AS TIMESTAMPTZ) IS NOT NULL) "
        f"FROM (SELECT {text} AS t FROM {sample})"
    ).fetchall()
    common = con.execute(
        f"SELECT t FROM (SELECT {text} AS t FROM {sample}) WHERE t IS NOT NULL "
        "GROUP BY t ORDER BY count(*) DESC, t LIMIT 20"
    ).fetchall()
    n = max(1, int(filled))
    return Column(
        name, int(distinct), int(filled), numbers / n, low, high,
        1.0 if is_time else times / n, False, False, tuple(row[0] for row in common),
    )  # fmt: skip
