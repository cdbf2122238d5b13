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
from typing import TypeAlias

import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.storage.writing import table_names

_TABLE = "file_hashes"
_N_THREADS = 4
_SETTLED_NS = 2_000_000_000
_SCHEMA = {"path": pl.String, "size_bytes": pl.Int64, "mtime_ns": pl.Int64, "sha256": pl.String}


_State: TypeAlias = tuple[int, int]
"""Size in bytes and modification time in ns: what tells a file apart from what it was."""


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
    known = _known(warehouse, names) if names else {}
    with ThreadPoolExecutor(_N_THREADS) as pool:
        # By stretches: a task per file takes longer than looking at it.
        stretch = len(names) // _N_THREADS + 1
        stretches = [names[i : i + stretch] for i in range(0, len(names), stretch)]
        states = {name: s for part in pool.map(_states, stretches) for name, s in part}
        stale = {
            name: state
            for name, state in states.items()
            if state is not None and (name, state) not in known
        }
        began_ns = time.time_ns()
        hashes = dict(zip(stale, pool.map(_hash, stale), strict=True))
        after = dict(zip(stale, pool.map(_state, stale), strict=True))
    learned = [
        (name, *state, hashes[name])
        for name, state in stale.items()
        if hashes[name] is not None and after[name] == state and state[1] < began_ns - _SETTLED_NS
    ]
    if learned:
        warehouse.merge(_TABLE, pl.DataFrame(learned, schema=_SCHEMA, orient="row"))
    found = {name: hashes.get(name, known.get((name, state))) for name, state in states.items()}
    rows = [
        (str(path), (states[name] or (None,))[0], found[name])
        for path, name in zip(paths, names, strict=True)
    ]
    columns = ("path", "size_bytes", "sha256")
    return pl.DataFrame(rows, {name: _SCHEMA[name] for name in columns}, orient="row")


def _absolute(path: Path) -> str:
    name = os.path.abspath(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name!r} is not written in UTF-8, and a table cannot hold it. Rename the file."
        ) from error
    return name


def _known(warehouse: Warehouse, names: Sequence[str]) -> dict[tuple[str, _State | None], str]:
    """Remembered hashes of these files, by path and state."""
    with warehouse.read() as connection:
        if _TABLE not in table_names(connection):
            return {}
        connection.register("asked", pl.DataFrame({"path": names}, schema={"path": pl.String}))
        rows = connection.execute(
            f"SELECT path, size_bytes, mtime_ns, sha256 FROM {_TABLE} SEMI JOIN asked USING (path)"
        ).fetchall()
    return {(path, (size, mtime)): sha256 for path, size, mtime, sha256 in rows}


def _states(names: Sequence[str]) -> list[tuple[str, _State | None]]:
    return [(name, _state(name)) for name in names]


def _state(name: str) -> _State | None:
    """The state of a readable plain file; nothing else is opened, it may block."""
    try:
        status = os.stat(name)
    except OSError:
        return None
    is_readable = stat.S_ISREG(status.st_mode) and os.access(name, os.R_OK)
    return (status.st_size, status.st_mtime_ns) if is_readable else None


def _hash(name: str) -> str | None:
    try:
        with Path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
