"""From files to one temporary table and its `_rejected` twin, whatever the table.

Per file: bind what `dataset.toml` says of each column, convert, judge, insert, all in one stream
through DuckDB. At the end the rows that were judged unusable move to the twin, beside those that
could not be taken to pieces, and both are counted against the rows that the files hold.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cf_pipeline.errors import DataError
from cf_pipeline.sources.conversions import count_sql, text_sql, texts_sql, time_sql
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.description import TableFiles
from cf_pipeline.sources.expressions import (
    column_sql,
    invalid_expression,
    quote_identifier,
    quote_literal,
)
from cf_pipeline.sources.ledger import ROW, Ledger, Scan
from cf_pipeline.sources.scans import first_line, open_scan

logger = logging.getLogger(__name__)

BROKEN_LINE = "broken line"
REPEATED = "duplicate project"

_BOOKKEEPING = {
    "__cf_file": "INTEGER",
    "__cf_line": "BIGINT",
    "__cf_reason": "VARCHAR",
    "__cf_content": "VARCHAR",
}


@dataclass(frozen=True)
class FileRows:
    """One file that was read: its name, the rows it holds, its own columns."""

    file: str
    n_rows: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class ReadCounts:
    """What became of the rows of some files: `read` = `used` + `rejected`.

    Attributes:
        read: Rows the files hold.
        used: Rows that were taken.
        rejected: Rows that were turned away.
        by_reason: Reason to the number of rows turned away for it, most first.
        files: The files in the order in which they were read.
    """

    read: int
    used: int
    rejected: int
    by_reason: dict[str, int]
    files: tuple[FileRows, ...] = ()


@dataclass(frozen=True)
class _Bound:
    """What a column of ours is computed from in one file: SQL over the file, and its type."""

    sql: str
    duckdb_type: str


@dataclass(frozen=True)
class JudgedTable:
    """A table on its way from files to temporary tables.

    Attributes:
        con: The connection that holds them.
        key: The table's key in `dataset.toml`.
        name: Name of the table of usable rows.
        types: Our columns and their types: VARCHAR, VARCHAR[], TIMESTAMP or BIGINT (a count).
        specs: What `dataset.toml` says of each, None where it says nothing.
        reasons: Reason to the condition under which a row is turned away, first match first; over
            our columns, and `in_<column>` for what stood in the file.
        unique: The column whose value no second row may have.
    """

    con: duckdb.DuckDBPyConnection
    key: str
    name: str
    types: Mapping[str, str]
    specs: Mapping[str, str | None]
    reasons: Mapping[str, str]
    unique: str | None = None

    def read(self, dataset: Dataset, table: TableFiles, files: Sequence[Path]) -> ReadCounts:
        """Read the files, in order, and separate usable rows from the others.

        Raises:
            ConfigError: The format of a file is not known.
            DataError: A file or column cannot be used, or no row can.
        """
        columns = ", ".join(
            f"{quote_identifier(name)} {kind}"
            for name, kind in {**self.types, **_BOOKKEEPING}.items()
        )
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE {self.name} ({columns})")
        ledger = Ledger(self.con)
        read: list[FileRows] = []
        try:
            for path in files:
                ledger.begin(_label(dataset, path))
                scan = open_scan(self.con, path, table, ledger)
                if scan.n_rows > ledger.n_broken():
                    self._insert(scan, ledger.current)
                read.append(FileRows(scan.file, scan.n_rows, scan.columns))
            if self.unique is not None:
                self._turn_away_repeated(self.unique)
            self._separate(ledger)
        finally:
            ledger.close()
        counts = self._counts(read)
        self._check(counts, dataset)
        logger.info("%s: read %d, used %d", self.key, counts.read, counts.used)
        return counts

    def _insert(self, scan: Scan, file: int) -> None:
        bound = {
            name: self._bind(f"{self.key}.columns.{name}", spec, scan)
            for name, spec in self.specs.items()
            if spec is not None
        }
        inputs = "".join(
            f", {bound[name].sql if name in bound else 'NULL'} AS in_{name}" for name in self.types
        )
        values = ", ".join(
            f"{self._convert(name, bound.get(name), scan)} AS {quote_identifier(name)}"
            for name in self.types
        )
        conditions = " ".join(
            f"WHEN {condition} THEN {quote_literal(reason)}"
            for reason, condition in self.reasons.items()
        )
        ours = ", ".join(quote_identifier(name) for name in self.types)
        content = _content({name: f"in_{name}" for name in bound})
        try:
            self.con.execute(
                f"INSERT INTO {self.name} SELECT {ours}, {file}, line, reason, "
                f"CASE WHEN reason IS NOT NULL THEN {content} END "
                f"FROM (SELECT *, CASE {conditions} END AS reason "
                f"FROM (SELECT *, {values} FROM (SELECT {ROW} AS line{inputs} "
                f"FROM ({scan.relation}))))"
            )
        except duckdb.Error as error:
            raise DataError(
                f"{scan.file} cannot be read: {first_line(error)} If an expression of "
                f"{self.key}.columns converts a value, use TRY_CAST; else export the file again."
            ) from error

    def _bind(self, key: str, spec: str, scan: Scan) -> _Bound:
        sql = column_sql(self.con, key, spec, scan.columns, scan.file)
        try:
            described = self.con.execute(
                f"DESCRIBE SELECT {ROW}, {sql} AS value FROM ({scan.relation})"
            ).fetchall()
        except duckdb.Error as error:
            why = first_line(error)
            raise invalid_expression(key, spec, scan.columns, scan.file, why) from error
        return _Bound(sql, str(described[1][1]))

    def _convert(self, name: str, bound: _Bound | None, scan: Scan) -> str:
        kind, value = self.types[name], f"in_{name}"
        if bound is None:
            return "CAST(1 AS BIGINT)" if kind == "BIGINT" else f"CAST(NULL AS {kind})"
        if kind == "VARCHAR[]":
            return texts_sql(value, bound.duckdb_type, scan.is_json)
        if kind == "TIMESTAMP":
            return time_sql(value, bound.duckdb_type, f"{self.key}.columns.{name}", scan.file)
        return count_sql(value) if kind == "BIGINT" else text_sql(value)

    def _turn_away_repeated(self, column: str) -> None:
        content = _content({name: quote_identifier(name) for name in self.types})
        # Row ids follow the order of insertion: file by file, row by row.
        self.con.execute(
            f"UPDATE {self.name} SET __cf_reason = '{REPEATED}', __cf_content = {content} "
            f"WHERE __cf_reason IS NULL AND rowid NOT IN (SELECT min(rowid) FROM {self.name} "
            f"WHERE __cf_reason IS NULL GROUP BY {quote_identifier(column)})"
        )

    def _separate(self, ledger: Ledger) -> None:
        files = ", ".join(quote_literal(file) for file in ledger.files)
        judged = (
            "SELECT __cf_file AS file, __cf_line AS line, __cf_reason AS reason, "
            f"__cf_content AS content FROM {self.name} WHERE __cf_reason IS NOT NULL"
        )
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {self.name}_rejected AS "
            f"SELECT [{files}][file + 1] AS file, line AS row_number, reason, content FROM "
            f"(SELECT * FROM ({ledger.placed_sql(judged)}) UNION ALL "
            f"SELECT file, line, '{BROKEN_LINE}', content FROM ({ledger.broken_sql()})) "
            f"AS rejected ORDER BY rejected.file, line"
        )
        self.con.execute(f"DELETE FROM {self.name} WHERE __cf_reason IS NOT NULL")
        for column in _BOOKKEEPING:
            self.con.execute(f"ALTER TABLE {self.name} DROP COLUMN {column}")

    def _counts(self, files: Sequence[FileRows]) -> ReadCounts:
        used = self.con.execute(f"SELECT count(*) FROM {self.name}").fetchone()
        by_reason = self.con.execute(
            f"SELECT reason, count(*) AS n FROM {self.name}_rejected "
            "GROUP BY reason ORDER BY n DESC, reason"
        ).fetchall()
        assert used is not None
        return ReadCounts(
            read=sum(file.n_rows for file in files),
            used=used[0],
            rejected=sum(n for _, n in by_reason),
            by_reason=dict(by_reason),
            files=tuple(files),
        )

    def _check(self, counts: ReadCounts, dataset: Dataset) -> None:
        named = ", ".join(file.file for file in counts.files[:5])
        where = f"{named}{' and more' if len(counts.files) > 5 else ''} ({self.key}.files)"
        if counts.read != counts.used + counts.rejected:
            raise DataError(
                f"{where}: {counts.read} rows are in the files, {counts.used} were used and "
                f"{counts.rejected} rejected. Expected all of them: a file changed while it was "
                f"read, or an expression in {dataset.path} does not give one value per row."
            )
        if counts.read == 0:
            raise DataError(
                f"{where} holds no rows, expected at least one. Export it again, or name other "
                f"files in {dataset.path}."
            )
        if counts.used == 0:
            raise DataError(
                f"None of the {counts.read} rows of {where} can be used: "
                f"{', '.join(f'{reason} ({n})' for reason, n in counts.by_reason.items())}. "
                f"{self._example()} Correct the columns, the kinds or the delimiter in "
                f"{dataset.path}, or export the file again."
            )

    def _example(self) -> str:
        row = self.con.execute(
            f"SELECT file, row_number, content FROM {self.name}_rejected LIMIT 1"
        ).fetchone()
        return f"First: {row[0]}, row {row[1]}: {row[2]}." if row else ""


def _label(dataset: Dataset, path: Path) -> str:
    """A file's name from the data set's folder where it lies in it, so that it does not move."""
    return str(path.relative_to(dataset.root) if path.is_relative_to(dataset.root) else path)


def _content(values: Mapping[str, str]) -> str:
    """SQL of a row's values as JSON text."""
    pairs = ", ".join(
        f"{quote_literal(name)}: CAST({sql} AS VARCHAR)" for name, sql in values.items()
    )
    return f"CAST(to_json({{{pairs}}}) AS VARCHAR)"
