"""SHA-256 of many files, reading only those that are new or changed.

A file is known by absolute path, size and modification time. One that was modified less than two
seconds before it was hashed is not remembered: it could be written again within the resolution
of its time stamp. Nothing is written when nothing was learned.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.storage.warehouse import Warehouse

_TABLE = "file_hashes"
_N_THREADS = 4
_SETTLED_NS = 2_000_000_000
_SCHEMA = {
    "path": pl.String,
    "size_bytes": pl.Int64,
    "mtime_ns": pl.Int64,
    "sha256": pl.String,
}


class _State(NamedTuple):
    """What tells a file apart from what it was: all None where none can be read."""

    size_bytes: int | None
    mtime_ns: int | None


def hash_files(warehouse: Warehouse, paths: Sequence[Path]) -> pl.DataFrame:
    """Size and hash of files.

    Args:
        warehouse: remembers hashes in its table `file_hashes`.
        paths: files, of which some may be missing.

    Returns:
        One row per path, in order: path (as given), size_bytes, and sha256 in hexadecimal,
        both null where the file is missing, no plain file, or cannot be read.

    Raises:
        DataError: a path is no text in UTF-8.
    """
    names = [_absolute(path) for path in paths]
    known = _known(warehouse, names)
    with ThreadPoolExecutor(_N_THREADS) as pool:
        states = dict(zip(names, pool.map(_state, names), strict=True))
        stale = [
            name
            for name, state in states.items()
            if state.mtime_ns is not None and (name, *state) not in known
        ]
        began_ns = time.time_ns()
        hashes = dict(zip(stale, pool.map(_hash, stale), strict=True))
        after = dict(zip(stale, pool.map(_state, stale), strict=True))
    learned = [
        (name, *states[name], hashes[name])
        for name in stale
        if hashes[name] is not None
        and after[name] == states[name]
        and (states[name].mtime_ns or 0) < began_ns - _SETTLED_NS
    ]
    if learned:
        warehouse.merge(_TABLE, pl.DataFrame(learned, schema=_SCHEMA, orient="row"))
    found = {name: hashes.get(name, known.get((name, *state))) for name, state in states.items()}
    return pl.DataFrame(
        {
            "path": [str(path) for path in paths],
            "size_bytes": [states[name].size_bytes for name in names],
            "sha256": [found[name] for name in names],
        },
        schema={"path": pl.String, "size_bytes": pl.Int64, "sha256": pl.String},
    )


def _absolute(path: Path) -> str:
    name = os.path.abspath(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name!r} is not written in UTF-8, and a table cannot hold it. Rename the file."
        ) from error
    return name


def _known(
    warehouse: Warehouse, names: Sequence[str]
) -> dict[tuple[str, int | None, int | None], str]:
    """Remembered hashes of these files, by path, size and modification time."""
    with warehouse.read() as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        if (_TABLE,) not in tables:
            return {}
        connection.register("asked", pl.DataFrame({"path": names}, schema={"path": pl.String}))
        rows = connection.execute(
            f"SELECT path, size_bytes, mtime_ns, sha256 FROM {_TABLE} SEMI JOIN asked USING (path)"
        ).fetchall()
    return {(path, size, mtime): sha256 for path, size, mtime, sha256 in rows}


def _state(name: str) -> _State:
    """Size and modification time of a readable plain file; nothing else is opened, it may block."""
    try:
        status = os.stat(name)
    except OSError:
        return _State(None, None)
    if not stat.S_ISREG(status.st_mode) or not os.access(name, os.R_OK):
        return _State(None, None)
    return _State(status.st_size, status.st_mtime_ns)


def _hash(name: str) -> str | None:
    try:
        with Path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
