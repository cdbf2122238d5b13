"""What lies in a folder: tables with a sample of their rows, pictures, files of vectors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from cf_pipeline.errors import CfPipelineError, DataError
from cf_pipeline.sources.description import TableFiles
from cf_pipeline.sources.dialects import guessed
from cf_pipeline.sources.judging import open_table
from cf_pipeline.sources.ledger import ROW, Ledger
from cf_pipeline.sql import quoted

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
VECTORS = frozenset({".npy", ".b"})
_MOST_FILES = 2_000_000
SAMPLE_ROWS = 200_000
"""Of a table that are looked at."""


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
    common: tuple[str, ...]


@dataclass(frozen=True)
class FoundTable:
    """A table: one file, or several alike in a folder.

    Attributes:
        files: relative to the folder that was surveyed, sorted.
        reading: how they are read; `files` is a pattern where there are several.
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
        """Its file, or the pattern of its files."""
        return self.reading.files[0]


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
    groups: dict[tuple[str, str], list[str]] = {}
    for name in _files(folder):
        suffix = Path(name).suffix.lower()
        if suffix in PICTURES:
            found.pictures.append(name)
        elif suffix in VECTORS or name.lower().endswith(".b.gz"):
            found.vectors.append(name)
        else:
            groups.setdefault((os.path.dirname(name), _kind_of(name)), []).append(name)
    for names in groups.values():
        for files in _alike(names):
            _add(con, found, files)
    found.tables.sort(key=lambda table: -table.n_rows)
    return found


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


def _kind_of(name: str) -> str:
    """All suffixes: parts of one table share them."""
    return "".join(Path(name).suffixes[-2:]).lower()


def _alike(names: list[str]) -> Iterator[list[str]]:
    """Parts of one table have names that differ in digits alone."""
    groups: dict[str, list[str]] = {}
    for name in names:
        form = "".join("0" if c.isdigit() else c for c in os.path.basename(name))
        while "00" in form:
            form = form.replace("00", "0")
        groups.setdefault(form, []).append(name)
    yield from groups.values()


def _add(con: duckdb.DuckDBPyConnection, found: Survey, files: list[str]) -> None:
    path = found.folder / files[0]
    try:
        reading = guessed(path, _pattern(files))
        if reading is None:
            return
        found.tables.append(_sampled(con, path, tuple(files), reading, len(found.tables)))
    except (CfPipelineError, duckdb.Error, OSError) as error:
        found.unread[files[0]] = str(error).partition("\n")[0]


def _pattern(files: list[str]) -> str:
    if len(files) == 1:
        return files[0]
    first, last = files[0], files[-1]  # sorted, so that these two differ first
    n = next(k for k in range(len(first)) if first[k] != last[k : k + 1])
    return f"{first[:n].rstrip('0123456789')}*{''.join(Path(first).suffixes)}"


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
        return Column(name, int(n), int(n), 0, None, None, 0, True, ())
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
        1.0 if is_time else times / n, False, tuple(row[0] for row in common),
    )  # fmt: skip
