"""Collecting old model versions: their rows, and the artifacts that no row names any more.

A version stays while the caller keeps it, `promoted_model` or its comparisons name it, it is the
newest of `trained_cnn`, or the current record of an asset has it as an input. An artifact stays
while a version that stays, a row of `trained_cnn` or a current record names it; of every other
artifact the folder goes, recorded or left by a killed process. `record_history` goes on telling
of what was collected, and keeps nothing. Whoever plans and collects holds the home's lock all the
while, else it could take a folder that a run has published and is about to record.
"""

from __future__ import annotations

import json
from collections import abc
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cf_pipeline.sql import literal, quoted
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.tables import TABLES
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.storage.writing import table_names

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
    """What goes.

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
        staying = _named_versions(connection) | set(keep)
        leaving = sorted(_versions(connection) - staying)
        counts = {table: _count(connection, table, leaving) for table in _scoped(connection)}
        staying |= _versions(connection) - set(leaving) | _weights(connection, leaving)
        records = "\n".join(_records(connection))
    names = {version[:_NAME_LENGTH] for version in staying}
    folders = [
        path for path in artifacts.folders() if path.name not in names and path.name not in records
    ]
    return Collection(
        versions=tuple(leaving),
        rows={table: n_rows for table, n_rows in counts.items() if n_rows},
        folders=tuple(folders),
        n_bytes=sum(map(artifacts.size, folders)),
    )


def collect(warehouse: Warehouse, artifacts: Artifacts, plan: Collection) -> Collection:
    """Remove what was planned, and return it.

    Rows go first, in one transaction, and folders once that is committed: killed in between, it
    leaves folders that no row names, which the next plan finds.
    """
    if not plan.versions and not plan.folders:
        return plan
    with warehouse.write() as connection:
        for table in plan.rows:
            connection.execute(f"DELETE FROM {quoted(table)} WHERE {_among(plan.versions)}")
        if "artifacts" in table_names(connection):
            for path in plan.folders:
                connection.execute(
                    "DELETE FROM artifacts WHERE kind = ? AND starts_with(version, ?)",
                    [path.parent.name, path.name],
                )
    for path in plan.folders:
        artifacts.remove(path)
    return plan


def _weights(connection: duckdb.DuckDBPyConnection, leaving: abc.Collection[str]) -> set[str]:
    """Versions of the artifacts of networks, but for some model versions."""
    if _MODEL not in table_names(connection):
        return set()
    query = f"SELECT artifact FROM {quoted(_MODEL)} WHERE NOT ({_among(leaving)})"
    return _words(connection, query)


def _records(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """What the current records say, as text: an artifact may be named anywhere in it.

    But for what checks said: a sentence about an earlier model needs none of its files.
    """
    if "asset_records" not in table_names(connection):
        return set()
    rows = connection.execute("SELECT data_version, inputs, metadata FROM asset_records")
    found = set()
    for version, inputs, metadata in rows.fetchall():
        said = {name: value for name, value in json.loads(metadata).items() if name != "checks"}
        found.add(f"{version} {inputs} {json.dumps(said)}")
    return found


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
    for table in _NAMING.keys() & set(tables):
        for column in _NAMING[table]:
            named |= _words(connection, f"SELECT {quoted(column)} FROM {quoted(table)}")
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
