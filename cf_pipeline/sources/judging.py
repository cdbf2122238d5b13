"""From files to one temporary table and its `_rejected` twin, whatever the table.

Per file: say how to select from it, bind what `dataset.toml` says of each column, convert, judge,
insert, all in one stream through DuckDB. At the end the rows that were judged unusable move to the
twin, beside those that could not be taken to pieces, and both are counted against the rows that the
files hold: a number that is found apart from reading, so that a row that went missing is noticed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cf_pipeline.errors import DataError
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.description import TableFiles
from cf_pipeline.sources.expressions import bind, converted_sql, first_line
from cf_pipeline.sources.files import check_contents, format_of
from cf_pipeline.sources.ledger import ROW, Ledger, Scan
from cf_pipeline.sources.text_scans import TextFile
from cf_pipeline.sql import literal, path_literal, quoted

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
class ReadCounts:
    """What became of the rows of some files: `read` = `used` + `rejected`.

    Attributes:
        used: Rows that were taken.
        by_reason: Reason to the number of rows turned away for it, most first.
        files: The files in the order in which they were read.
    """

    used: int
    by_reason: dict[str, int]
    files: tuple[Scan, ...]

    @property
    def read(self) -> int:
        """Rows the files hold."""
        return sum(file.n_rows for file in self.files)

    @property
    def rejected(self) -> int:
        """Rows that were turned away."""
        return sum(self.by_reason.values())


@dataclass(frozen=True)
class JudgedTable:
    """A table on its way from files to temporary tables.

    Attributes:
        con: The connection that holds them.
        key: The table's key in `dataset.toml`.
        types: Our columns and their types: VARCHAR, VARCHAR[], TIMESTAMP or BIGINT (a count).
        specs: What `dataset.toml` says of each, None where it says nothing.
        reasons: Reason to the condition under which a row is turned away, first match first; over
            our columns, and `in_<column>` for what stood in the file.
        unique: The column whose value no second row may have.
        unites: Whether rows with one such value are one row, rather than the first of them.
    """

    con: duckdb.DuckDBPyConnection
    key: str
    types: Mapping[str, str]
    specs: Mapping[str, str | None]
    reasons: Mapping[str, str]
    unique: str | None = None
    unites: bool = False

    @property
    def name(self) -> str:
        """Name of the temporary table of usable rows."""
        return f"loaded_{self.key}"

    def read(self, dataset: Dataset, table: TableFiles, files: Sequence[Path]) -> ReadCounts:
        """Read the files, in order, and separate usable rows from the others.

        Raises:
            ConfigError: The format of a file is not known.
            DataError: A file or column cannot be used, or no row can.
        """
        columns = ", ".join(
            f"{quoted(name)} {kind}" for name, kind in {**self.types, **_BOOKKEEPING}.items()
        )
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE {self.name} ({columns})")
        ledger = Ledger(self.con)
        scans: list[Scan] = []
        try:
            for path in files:
                ledger.begin(_label(dataset, path))
                scans.append(open_table(self.con, path, table, ledger))
                if scans[-1].n_rows > ledger.n_broken():
                    self._insert(scans[-1], ledger.current)
            if self.unique is not None and not self.unites:
                self._turn_away_repeated(self.unique)
            self._separate(ledger)
        finally:
            ledger.close()
        counts = self._counts(scans)
        if self.unique is not None and self.unites:
            self._unite(self.unique)
        self._check(counts, dataset)
        logger.info("%s: read %d, used %d", self.key, counts.read, counts.used)
        return counts

    def _insert(self, scan: Scan, file: int) -> None:
        inputs, values, content = [], [], {}
        for name, kind in self.types.items():
            spec, key = self.specs.get(name), f"{self.key}.columns.{name}"
            if spec is None:
                given, value = "NULL", "1" if kind == "BIGINT" else "NULL"
            else:
                bound = bind(self.con, key, spec, scan)
                given, value = bound.sql, converted_sql(kind, f"in_{name}", bound, key, scan)
                content[name] = f"in_{name}"
            inputs.append(f"{given} AS in_{name}")
            values.append(f"CAST({value} AS {kind}) AS {quoted(name)}")
        conditions = " ".join(
            f"WHEN {condition} THEN {literal(reason)}" for reason, condition in self.reasons.items()
        )
        ours = ", ".join(map(quoted, self.types))
        try:
            self.con.execute(
                f"INSERT INTO {self.name} SELECT {ours}, {file}, line, reason, "
                f"CASE WHEN reason IS NOT NULL THEN {_json(content)} END "
                f"FROM (SELECT *, CASE {conditions} END AS reason "
                f"FROM (SELECT *, {', '.join(values)} FROM (SELECT {ROW} AS line, "
                f"{', '.join(inputs)} FROM ({scan.relation}))))"
            )
        except duckdb.Error as error:
            raise DataError(
                f"{scan.file} cannot be read: {first_line(error)} If an expression of "
                f"{self.key}.columns converts a value, use TRY_CAST; else export the file again."
            ) from error

    def _turn_away_repeated(self, column: str) -> None:
        content = _json({name: quoted(name) for name in self.types})
        # Row ids follow the order of insertion: file by file, row by row.
        self.con.execute(
            f"UPDATE {self.name} SET __cf_reason = '{REPEATED}', __cf_content = {content} "
            f"WHERE __cf_reason IS NULL AND rowid NOT IN (SELECT min(rowid) FROM {self.name} "
            f"WHERE __cf_reason IS NULL GROUP BY {quoted(column)})"
        )

    def _unite(self, column: str) -> None:
        """Rows of one value as one, in the place of the first."""
        parts = {
            name: f"nullif(list_sort(list_distinct(flatten(list({quoted(name)})))), [])"
            if kind.endswith("[]")
            else f"first({quoted(name)} ORDER BY place) FILTER (WHERE {quoted(name)} IS NOT NULL)"
            for name, kind in self.types.items()
            if name != column
        }
        rest = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in parts.items())
        ours = ", ".join(map(quoted, self.types))
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {self.name} AS SELECT {ours} FROM ("
            f"SELECT {quoted(column)}, min(place) AS place, {rest} "
            f"FROM (SELECT *, rowid AS place FROM {self.name}) GROUP BY ALL) ORDER BY place"
        )

    def _separate(self, ledger: Ledger) -> None:
        files = ", ".join(map(literal, ledger.files))
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

    def _counts(self, files: Sequence[Scan]) -> ReadCounts:
        [(used,)] = self.con.execute(f"SELECT count(*) FROM {self.name}").fetchall()
        by_reason = self.con.execute(
            f"SELECT reason, count(*) AS n FROM {self.name}_rejected "
            "GROUP BY reason ORDER BY n DESC, reason"
        ).fetchall()
        return ReadCounts(used, dict(by_reason), tuple(files))

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
            [(file, row, content)] = self.con.execute(
                f"SELECT file, row_number, content FROM {self.name}_rejected LIMIT 1"
            ).fetchall()
            raise DataError(
                f"None of the {counts.read} rows of {where} can be used: "
                f"{', '.join(f'{reason} ({n})' for reason, n in counts.by_reason.items())}. "
                f"First: {file}, row {row}: {content}. Correct the columns, the kinds or the "
                f"delimiter in {dataset.path}, or export the file again."
            )


def open_table(
    con: duckdb.DuckDBPyConnection, path: Path, table: TableFiles, ledger: Ledger
) -> Scan:
    """Look through a file once and say how to select from it.

    Rows that cannot be taken to pieces go to the ledger, under its current file.
    """
    file_format = format_of(path, table)
    check_contents(path, file_format, table.encoding)
    try:
        if file_format.name != "parquet":
            reader = TextFile(con, path, file_format, table, ledger)
            return reader.open_json() if file_format.name == "jsonl" else reader.open_delimited()
        source = f"read_parquet({path_literal(path)}, hive_partitioning = false)"
        described = con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        [(n_rows,)] = con.execute(
            f"SELECT num_rows FROM parquet_file_metadata({path_literal(path)})"
        ).fetchall()
        relation = f"SELECT *, file_row_number + 1 AS {ROW} FROM {source}"
        return Scan(ledger.files[-1], relation, tuple(row[0] for row in described), int(n_rows))
    except duckdb.Error as error:
        raise DataError(
            f"{path} cannot be read as {file_format.name}: {first_line(error)} "
            f"Export it again, or correct format and delimiter in dataset.toml."
        ) from error


def _label(dataset: Dataset, path: Path) -> str:
    """A file's name from the data set's folder where it lies in it, so that it does not move."""
    return str(path.relative_to(dataset.root) if path.is_relative_to(dataset.root) else path)


def _json(values: Mapping[str, str]) -> str:
    """SQL of a row's values as JSON text."""
    pairs = ", ".join(f"{literal(name)}: CAST({sql} AS VARCHAR)" for name, sql in values.items())
    return f"CAST(to_json({{{pairs}}}) AS VARCHAR)"
