"""The warehouse: all tables of a home in one DuckDB file.

Explicit SQL, one transaction per write, read-only connections for readers, a patient lock.
`publish` checks rows against their declaration, puts them in the place of the old ones, and
writes the record of what was computed in the same transaction: rows and record always agree.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Unpack

import duckdb
import polars as pl

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.storage.artifacts import Artifact
from cf_pipeline.storage.connections import reading, writing
from cf_pipeline.storage.contents import content_version
from cf_pipeline.storage.publishing import (
    Further,
    Rows,
    check_others,
    tables_to_write,
    write_artifact,
    write_record,
    write_tables,
)
from cf_pipeline.storage.records import AssetRecord, Draft
from cf_pipeline.storage.sql import columns_sql, literal, quoted
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES
from cf_pipeline.storage.writing import column_types, replace_keys, table_names

_RECORDS = TABLES["asset_records"]


class Warehouse:
    """Tables in one DuckDB file, shared by threads and processes that take turns."""

    def __init__(
        self,
        path: Path,
        *,
        memory_limit: str = "2GB",
        threads: int | None = None,
        lock_timeout_seconds: float = 600.0,
    ) -> None:
        """Remember how to open the file; nothing is opened or made yet.

        Args:
            path: the file; it need not exist, its folder must when it is first written.
            memory_limit: most memory DuckDB may use, with its unit.
            threads: most threads DuckDB may use; None leaves the choice to it.
            lock_timeout_seconds: how long to wait for other users of the file.
        """
        self.path = path
        self._memory_limit = memory_limit
        self._threads = threads
        self._lock_timeout_seconds = lock_timeout_seconds

    @contextlib.contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection; a file that does not exist yet reads as empty.

        Readers share the file with each other, not with a writer: keep the block short.

        Raises:
            DataError: the file is no DuckDB database, or was locked for too long.
            RuntimeError: inside `write` of the same thread.
        """
        with reading(self.path, self._lock_timeout_seconds) as connection:
            self._set_up(connection)
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection in one transaction: committed at the end, rolled back on any exception.

        Nobody else can read the file meanwhile: compute first.

        Raises:
            DataError: the file is no DuckDB database, or was locked for too long.
            RuntimeError: inside `read` or `write` of the same thread.
        """
        with writing(self.path, self._lock_timeout_seconds) as connection:
            self._set_up(connection)
            connection.begin()
            try:
                yield connection
                connection.commit()
            except BaseException:
                # A failed commit has rolled back already; closing ends whatever is left.
                with contextlib.suppress(duckdb.Error):
                    connection.rollback()
                raise

    def tables(self) -> list[str]:
        """Names of the tables that are there, sorted."""
        with self.read() as connection:
            return table_names(connection)

    def has(self, table: str) -> bool:
        """Whether a table is there, be it empty."""
        return table in self.tables()

    def frame(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        parameters: Sequence[object] = (),
    ) -> pl.DataFrame:
        """Rows of a table in the order of its key; vectors of one length as `pl.Array`.

        Args:
            table: its name.
            columns: which columns, in this order; all of them by default.
            where: an SQL condition, with `?` for parameters.
            parameters: their values.

        Raises:
            DataError: the table or a column is not there.
        """
        with self.read() as connection:
            stored = column_types(connection, table)
            names = list(stored) if columns is None else list(columns)
            missing = [name for name in names if name not in stored]
            if not stored or missing:
                raise DataError(self._absent(table, missing))
            declared = TABLES.get(table)
            order = [name for name in (declared.order if declared else stored) if name in stored]
            query = (
                f"SELECT {columns_sql(names)} FROM {quoted(table)} "
                f"WHERE {where or 'true'} ORDER BY {columns_sql(order)}"
            )
            rows: pl.DataFrame = connection.sql(query, params=list(parameters)).pl()
        return rows

    def publish(
        self,
        record: Draft,
        tables: Mapping[str, Rows],
        scope: str | None = None,
        prepare: Callable[[duckdb.DuckDBPyConnection], None] | None = None,
        artifacts: Sequence[Artifact] = (),
        **further: Unpack[Further],
    ) -> AssetRecord:
        """Write an asset's rows, its artifacts and its record: all of it, or nothing.

        Args:
            record: what is known before the rows are written.
            tables: exactly the asset's tables, each a frame or a SELECT that DuckDB streams.
                SELECTs run in the order of `ASSET_TABLES`, each seeing what was written before.
            scope: the model version whose rows are replaced, where the tables are scoped.
            prepare: called first in the transaction, to make temporary tables for the SELECTs.
            artifacts: published artifacts to record.
            further: `others`: rows of further model versions, version to table to rows, of some of
                the asset's tables; each replaces the rows of its version and none counts in the
                data version. `verify`: called with the connection once all rows stand; what it
                raises takes back the whole write, so that bad rows never replace good ones.

        Returns:
            The record as written, with the content version of the rows (those of the scope only,
            where the tables are scoped) unless the draft has a version of its own.

        Raises:
            DataError: rows break a rule of their table; nothing was changed.
        """
        declared = tables_to_write(record.asset, tables, scope)
        others = further.get("others") or {}
        verify = further.get("verify")
        check_others(record.asset, others, scope)
        with self.write() as connection:
            if prepare is not None:
                prepare(connection)
            write_tables(connection, declared, tables, scope)
            for other, rows in others.items():
                write_tables(connection, declared, rows, other)
            if verify is not None:
                verify(connection)
            version = record.data_version or content_version(connection, declared, scope)
            written = AssetRecord.of(record, version)
            write_record(connection, written)
            for artifact in artifacts:
                write_artifact(connection, artifact, self.path.parent)
        return written

    def merge(self, table: str, rows: pl.DataFrame) -> None:
        """Write rows of a bookkeeping table in the place of those with the same key.

        Raises:
            DataError: the rows break a rule of the table.
        """
        with self.write() as connection:
            replace_keys(connection, TABLES[table], rows)

    def record(self, asset: str) -> AssetRecord | None:
        """What was computed last of an asset; None if nothing, or if a table of it is gone."""
        return self.records().get(asset)

    def records(self) -> dict[str, AssetRecord]:
        """The records of all assets whose tables are there, by name."""
        with self.read() as connection:
            names = set(table_names(connection))
            if _RECORDS.name not in names:
                return {}
            rows = connection.sql(f"FROM {quoted(_RECORDS.name)} ORDER BY asset").pl()
        records = (AssetRecord.from_row(row) for row in rows.iter_rows(named=True))
        return {
            record.asset: record
            for record in records
            if names.issuperset(ASSET_TABLES.get(record.asset, (record.asset,)))
        }

    def _set_up(self, connection: duckdb.DuckDBPyConnection) -> None:
        try:
            connection.execute(f"SET memory_limit = {literal(self._memory_limit)}")
            if self._threads is not None:
                connection.execute(f"SET threads = {self._threads}")
        except duckdb.Error as error:
            raise ConfigError(
                f"DuckDB takes neither memory_limit {self._memory_limit!r} with threads "
                f"{self._threads!r}: {error}. Expected such as '2GB' and 2."
            ) from error
        connection.execute("SET TimeZone = 'UTC'")  # times with a zone become UTC ones without

    def _absent(self, table: str, columns: Sequence[str]) -> str:
        asset = next((name for name, tables in ASSET_TABLES.items() if table in tables), None)
        what = f"the columns {', '.join(columns)} of {table} are" if columns else f"{table} is"
        if asset is None:
            return f"{what} not in {self.path}; it holds {', '.join(self.tables()) or 'nothing'}."
        return (
            f"{what} not in {self.path}. Materialize the asset {asset} first: "
            f"cf-pipeline run --select {asset}."
        )
