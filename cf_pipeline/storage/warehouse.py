"""The warehouse: all tables of a home in one DuckDB file.

Explicit SQL, one transaction per write, read-only connections for readers, a patient lock.
`publish` checks rows against their declaration, puts them in the place of the old ones, and
writes the record of what was computed in the same transaction: rows and record always agree.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import polars as pl

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.sql import columns_sql, literal, quoted
from cf_pipeline.storage.connections import reading, writing
from cf_pipeline.storage.contents import content_version
from cf_pipeline.storage.publishing import (
    Write,
    tables_to_write,
    write_artifact,
    write_record,
    write_tables,
)
from cf_pipeline.storage.records import AssetRecord, Draft
from cf_pipeline.storage.schema import LIST
from cf_pipeline.storage.tables import ASSET_OF, TABLES
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

        What a home of an earlier release lacks is null, if it is a column, or empty, if it is a
        companion of a table that is there.

        Args:
            table: its name.
            columns: which columns, in this order; all of them by default.
            where: an SQL condition, with `?` for parameters.
            parameters: their values.

        Raises:
            DataError: the table or a column is not there.
        """
        with self.read() as connection:
            source, there = _relation(connection, table)
            names = there if columns is None else list(columns)
            missing = [name for name in names if name not in there]
            if not there or missing:
                raise DataError(self._absent(table, missing))
            order = TABLES[table].order if table in TABLES else there
            query = (
                f"SELECT {columns_sql(names)} FROM {source} "
                f"WHERE {where or 'true'} ORDER BY {columns_sql(order)}"
            )
            rows: pl.DataFrame = connection.sql(query, params=list(parameters)).pl()
        return rows

    def publish(self, draft: Draft, write: Write) -> AssetRecord:
        """Write an asset's rows, its artifacts and its record: all of it, or nothing.

        Args:
            draft: what is known before the rows are written.
            write: the rows, and what goes with them.

        Returns:
            The record as written, with the content version of the rows (those of the scope only,
            where the tables are scoped) unless the draft has a version of its own.

        Raises:
            DataError: rows break a rule of their table; nothing was changed.
        """
        declared = tables_to_write(draft.asset, write)
        with self.write() as connection:
            write_tables(connection, declared, write.tables, write.scope)
            for other, rows in write.others.items():
                write_tables(connection, declared, rows, other)
            if write.verify is not None:
                write.verify(connection)
            version = draft.data_version or content_version(connection, declared, write.scope)
            record = AssetRecord.of(draft, version)
            write_record(connection, record)
            for artifact in write.artifacts:
                write_artifact(connection, artifact, self.path.parent)
        return record

    def adopt(self, record: AssetRecord) -> None:
        """Let a record that was published before be an asset's current one again."""
        with self.write() as connection:
            write_record(connection, record)

    def merge(self, table: str, rows: pl.DataFrame) -> None:
        """Write rows of a bookkeeping table in the place of those with the same key.

        Raises:
            DataError: the rows break a rule of the table.
        """
        with self.write() as connection:
            replace_keys(connection, TABLES[table], rows)

    def record(self, asset: str) -> AssetRecord | None:
        """What was computed last of an asset; None if nothing, or if its own table is gone."""
        return self.records().get(asset)

    def records(self) -> dict[str, AssetRecord]:
        """The records of all assets whose own table is there, by name."""
        with self.read() as connection:
            names = set(table_names(connection))
            if _RECORDS.name not in names:
                return {}
            rows = connection.sql(f"FROM {quoted(_RECORDS.name)} ORDER BY asset").pl()
        records = (AssetRecord.from_row(row) for row in rows.iter_rows(named=True))
        return {record.asset: record for record in records if record.asset in names}

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
        what = f"the columns {', '.join(columns)} of {table} are" if columns else f"{table} is"
        if table not in ASSET_OF:
            return f"{what} not in {self.path}; it holds {', '.join(self.tables()) or 'nothing'}."
        return (
            f"{what} not in {self.path}. Materialize the asset {ASSET_OF[table]} first: "
            f"cf-pipeline run --select {ASSET_OF[table]}."
        )


def _relation(connection: duckdb.DuckDBPyConnection, table: str) -> tuple[str, list[str]]:
    """What may follow FROM for a table, and its columns: none where the table is not there.

    Tables of an earlier release are filled up to their declaration.
    """
    stored = column_types(connection, table)
    declared = TABLES[table].columns if table in TABLES else ()
    lacking = [column for column in declared if column.name not in stored]
    if not lacking or not (stored or column_types(connection, ASSET_OF.get(table, table))):
        return quoted(table), list(stored)
    nulls = ", ".join(
        f"CAST(NULL AS {LIST if column.is_vector else column.type}) AS {quoted(column.name)}"
        for column in lacking
    )
    source = f"(SELECT *, {nulls} FROM {quoted(table)})" if stored else f"(SELECT {nulls} LIMIT 0)"
    return source, [*stored, *(column.name for column in lacking)]
