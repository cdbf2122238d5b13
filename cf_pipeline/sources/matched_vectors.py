"""Which files of vectors are of the projects of a table, and how they are read."""

from __future__ import annotations

import gzip
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import duckdb
import numpy as np

from cf_pipeline.sources.survey import FoundTable, Survey
from cf_pipeline.sql import quoted

_ID_BYTES = (8, 10, 4, 12, 16, 24, 32, 36)
_DIMENSIONS = (4096, 2048, 1536, 1280, 1024, 768, 512, 384, 256, 128)
"""What records have been published with, and what networks have at their end."""
_MATCHED = 0.5
"""Share of ids that have to be those of projects."""
_MOST_IDS = 1000


@dataclass(frozen=True)
class Vectors:
    """Files of vectors.

    Attributes:
        files: relative to the folder, or patterns.
        keys: what `[[features]]` says of them beside, none where they could not be matched.
        name: of the feature set.
    """

    files: tuple[str, ...]
    keys: dict[str, str | int] | None
    name: str = ""


def vectors_of(
    con: duckdb.DuckDBPyConnection, found: Survey, projects: FoundTable, id_column: str
) -> list[Vectors]:
    """Files of vectors in a folder, those that are of a table's projects first.

    Args:
        con: holds the samples.
        found: the folder.
        projects: what vectors may be of.
        id_column: its ids.
    """
    rows = con.execute(
        f"SELECT DISTINCT trim(CAST({quoted(id_column)} AS VARCHAR)) FROM {projects.sample}"
    ).fetchall()
    ids = {row[0] for row in rows}
    matched = [v for table in found.tables for v in _in_table(con, table, ids)]
    for path in found.vectors:
        file = found.folder / path
        keys = _matrix(found.folder, file, ids) if file.suffix == ".npy" else _records(file, ids)
        matched.append(Vectors((path,), keys))
    return list(_named(sorted(matched, key=lambda v: (v.keys is None, v.files))))


def _named(matched: list[Vectors]) -> Iterator[Vectors]:
    """Each by its file, numbered from the second of a name on."""
    taken: Counter[str] = Counter()
    for vectors in matched:
        stem = os.path.basename(vectors.files[0]).partition(".")[0].lower()
        name = re.sub(r"[^a-z0-9]+", "_", stem).strip("_") or "vectors"
        name += "_set" if name.endswith("_ridge") else ""
        taken[name] += 1
        yield replace(vectors, name=f"{name}_{taken[name]}" if taken[name] > 1 else name)


def _are_ids(values: list[str], ids: set[str]) -> bool:
    return bool(values) and sum(v.strip() in ids for v in values) >= _MATCHED * len(values)


def _in_table(
    con: duckdb.DuckDBPyConnection, table: FoundTable, ids: set[str]
) -> Iterator[Vectors]:
    for vector in (c.name for c in table.columns.values() if c.is_vector):
        for column in (c for c in table.columns.values() if not c.is_list):
            rows = con.execute(
                f"SELECT CAST({quoted(column.name)} AS VARCHAR) FROM {table.sample} "
                f"WHERE {quoted(column.name)} IS NOT NULL LIMIT {_MOST_IDS}"
            ).fetchall()
            if _are_ids([row[0] for row in rows], ids):
                keys: dict[str, str | int] = {"id_column": column.name, "vector_column": vector}
                yield Vectors(table.reading.files, keys)
                break


def _matrix(folder: Path, file: Path, ids: set[str]) -> dict[str, str | int] | None:
    """The text file beside a matrix that has an id a row."""
    try:
        shape = np.load(file, mmap_mode="r", allow_pickle=False).shape
    except (ValueError, OSError):
        return None
    if len(shape) != 2:
        return None
    beside = (f for f in sorted(file.parent.iterdir()) if f.suffix in ("", ".txt", ".ids", ".csv"))
    for text in (f for f in beside if f.is_file()):
        if _has_an_id_a_row(text, shape[0], ids):
            return {"ids": os.path.relpath(text, folder)}
    return None


def _has_an_id_a_row(text: Path, n_rows: int, ids: set[str]) -> bool:
    """Its first lines decide whether the rest of a file, which may be a large one, is counted."""
    try:
        with text.open(encoding="utf-8") as lines:
            head = list(islice(lines, min(n_rows, _MOST_IDS)))
            # One line more than rows says as much as a million more.
            return (
                _are_ids(head, ids) and len(head) + sum(1 for _ in islice(lines, n_rows)) == n_rows
            )
    except (UnicodeDecodeError, OSError):
        return False


def _records(file: Path, ids: set[str]) -> dict[str, str | int] | None:
    """Bytes of an id and floats of a vector under which the first records have ids of projects."""
    longest = 4 * (max(_ID_BYTES) + 4 * max(_DIMENSIONS))
    opened = gzip.open if file.suffix == ".gz" else open
    try:
        with opened(file, "rb") as stream:
            head = stream.read(longest)
    except (OSError, EOFError):
        return None
    for n_id in _ID_BYTES:
        for dimensions in _DIMENSIONS:
            size = n_id + 4 * dimensions
            starts = range(0, len(head) - size + 1, size)
            found = [
                head[start : start + n_id].rstrip(b"\0 ").decode("utf-8", errors="replace")
                for start in starts
            ]
            if len(found) > 1 and all(id_ in ids for id_ in found[:4]):
                return {"format": "records", "id_bytes": n_id, "dimensions": dimensions}
    return None
