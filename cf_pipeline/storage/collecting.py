"""Collecting old model versions: their rows, and the artifacts that no row names any more.

A version stays while the caller keeps it, `promoted_model` or its comparisons name it, it is the
newest of `trained_cnn`, or the current record of an asset has it as an input. An artifact stays
while a version that stays, a row of `trained_cnn` or a current record names it; of every other
artifact the folder goes, recorded or left by a killed process. `record_history` goes on telling
of what was collected, and keeps nothing. Whoever collects holds the home's lock, else it could
take a folder that a run has published and is about to record.
"""

from __future__ import annotations

import json
import logging
from collections import abc
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.sql import columns_sql, literal, quoted
from cf_pipeline.storage.tables import TABLES
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.storage.writing import table_names

logger = logging.getLogger(__name__)

_VERSION = "model_version"
_MODEL = "trained_cnn"
_NAMING = {
    "promoted_model": ("model_version",),
    "promotion_comparisons": ("model_version", "reference_version"),
}
"""Unscoped tables that name model versions, with the columns that do."""
_NAME_LENGTH = 16
"""Digits of an artifact's version that name its folder, and of which a model version consists."""


@dataclass(frozen=True)
class Collection:
    """What goes, or what went.

    Attributes:
        versions: model versions, sorted.
        rows: how many rows of them, by table; tables without any are left out.
        folders: folders of artifacts, sorted.
        n_bytes: size of the files in these folders, bytes.
    """

    versions: tuple[str, ...]
    rows: dict[str, int]
    folders: tuple[Path, ...]
    n_bytes: int


def plan(warehouse: Warehouse, artifacts: Artifacts, keep: abc.Collection[str]) -> Collection:
    """What can be collected; nothing is changed.

    Args:
        warehouse: the tables.
        artifacts: the folders beside it.
        keep: model versions that stay whatever names them.
    """
    with warehouse.read() as connection:
        leaving = sorted(_versions(connection) - _named_versions(connection) - set(keep))
        counts = {table: _count(connection, table, leaving) for table in _scoped(connection)}
        names = _Names.read(connection, leaving)
    kept = {version[:_NAME_LENGTH] for version in keep}
    folders = [
        path for path in artifacts.folders() if path.name not in kept and not names.hold(path)
    ]
    return Collection(
        versions=tuple(leaving),
        rows={table: n_rows for table, n_rows in counts.items() if n_rows},
        folders=tuple(folders),
        n_bytes=sum(map(artifacts.size, folders)),
    )


def collect(warehouse: Warehouse, artifacts: Artifacts, plan: Collection) -> Collection:
    """Remove what was planned, as far as nothing names it by now.

    Rows go first, in one transaction, and folders once that is committed: killed in between, it
    leaves folders that no row names, which the next plan finds.

    Returns:
        What was removed.
    """
    if not plan.versions and not plan.folders:
        return plan
    with warehouse.write() as connection:
        leaving = sorted(set(plan.versions) - _named_versions(connection))
        rows = {}
        for table in _scoped(connection):
            n_rows = _count(connection, table, leaving)
            if n_rows:
                rows[table] = n_rows
                connection.execute(f"DELETE FROM {quoted(table)} WHERE {_among(leaving)}")
        names = _Names.read(connection)
        unnamed = [path for path in plan.folders if not names.hold(path)]
        _forget(connection, unnamed)
    removed, n_bytes = [], 0
    for path in unnamed:
        size = _remove(warehouse, artifacts, path)
        if size is not None:
            removed.append(path)
            n_bytes += size
    return Collection(tuple(leaving), rows, tuple(removed), n_bytes)


@dataclass(frozen=True)
class _Names:
    """What the rows of a warehouse name: artifacts by folder name, and the text of records."""

    folders: frozenset[str]
    records: str

    @classmethod
    def read(
        cls, connection: duckdb.DuckDBPyConnection, leaving: abc.Collection[str] = ()
    ) -> _Names:
        """What is named, as if the rows of some model versions were gone already."""
        staying = (_versions(connection) | _named_versions(connection)) - set(leaving)
        tables = table_names(connection)
        if _MODEL in tables:
            query = f"SELECT artifact FROM {quoted(_MODEL)} WHERE NOT ({_among(leaving)})"
            staying |= _words(connection, query)
        records = ""
        if "asset_records" in tables:
            query = "SELECT concat_ws(' ', data_version, inputs, metadata) FROM asset_records"
            records = "\n".join(sorted(_words(connection, query)))
        return cls(frozenset(version[:_NAME_LENGTH] for version in staying), records)

    def hold(self, folder: Path) -> bool:
        """Whether something names the artifact in a folder."""
        return folder.name in self.folders or folder.name in self.records


def _remove(warehouse: Warehouse, artifacts: Artifacts, path: Path) -> int | None:
    """Remove a folder and tell its size, unless a row names it again or it is gone."""
    with warehouse.read() as connection:
        named = _Names.read(connection).hold(path) or _is_recorded(connection, path)
    if named:
        logger.info("%s is named again and stays", path)
        return None
    if not path.exists():
        return None
    size = artifacts.size(path)
    artifacts.remove(path)
    return size


def _versions(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Every model version of which there are rows."""
    found: set[str] = set()
    for table in _scoped(connection):
        found |= _words(connection, f"SELECT DISTINCT {quoted(_VERSION)} FROM {quoted(table)}")
    return found


def _named_versions(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Model versions, and other words, that rows name which no collection removes."""
    named: set[str] = set()
    tables = table_names(connection)
    for table, columns in _NAMING.items():
        if table in tables:
            for column in columns:
                named |= _words(connection, f"SELECT {columns_sql([column])} FROM {quoted(table)}")
    if "asset_records" in tables:
        query = f"SELECT data_version FROM asset_records WHERE asset = {literal(_MODEL)}"
        named |= _words(connection, query)
        for inputs in _words(connection, "SELECT inputs FROM asset_records"):
            named |= {str(version) for version in json.loads(inputs).values()}
    return named


def _scoped(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables that are there and hold rows of several model versions."""
    scoped = {table.name for table in TABLES.values() if table.scope == _VERSION}
    return [name for name in table_names(connection) if name in scoped]


def _words(connection: duckdb.DuckDBPyConnection, query: str) -> set[str]:
    return {str(word) for (word,) in connection.execute(query).fetchall()}


def _count(connection: duckdb.DuckDBPyConnection, table: str, versions: abc.Collection[str]) -> int:
    query = f"SELECT count(*) FROM {quoted(table)} WHERE {_among(versions)}"
    return int(connection.execute(query).fetchall()[0][0])


def _among(versions: abc.Iterable[str]) -> str:
    """The condition that a row is of one of some model versions."""
    words = ", ".join(literal(version) for version in versions)
    return f"{quoted(_VERSION)} IN ({words})" if words else "false"


def _forget(connection: duckdb.DuckDBPyConnection, folders: abc.Iterable[Path]) -> None:
    """Delete the manifest rows of artifacts."""
    if "artifacts" in table_names(connection):
        for path in folders:
            connection.execute(f"DELETE FROM artifacts WHERE {_OF_FOLDER}", _folder_key(path))


def _is_recorded(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    if "artifacts" not in table_names(connection):
        return False
    query = f"SELECT 1 FROM artifacts WHERE {_OF_FOLDER}"
    return connection.execute(query, _folder_key(path)).fetchone() is not None


_OF_FOLDER = "kind = ? AND starts_with(version, ?)"


def _folder_key(path: Path) -> list[str]:
    return [path.parent.name, path.name]
