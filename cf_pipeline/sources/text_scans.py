"""CSV, TSV and JSON lines as a DuckDB relation, with every line of the file accounted for.

CSV takes DuckDB's parser where its rows and the lines of the file add up, and the slower reader of
`text_lines.py` where they do not. JSON lines are read as lines, so that one that is no object is
known by its number and its text. All columns are text.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import duckdb
import pyarrow as pa

from cf_pipeline.errors import DataError
from cf_pipeline.sources.description import TableFiles
from cf_pipeline.sources.files import FileFormat
from cf_pipeline.sources.ledger import ROW, Ledger, Scan
from cf_pipeline.sources.text_lines import (
    Dialect,
    Line,
    Record,
    UnclosedQuoteError,
    numbered_lines,
    records,
    split_values,
)
from cf_pipeline.sql import literal, path_literal, quoted

logger = logging.getLogger(__name__)

_BATCH = 20_000
_REJECTS = "cf_csv_rejects"
# A character that text does not hold keeps DuckDB's CSV reader from splitting a line.
_NO_DELIMITER = "\x01"


@dataclass(frozen=True)
class TextFile:
    """A CSV, TSV or JSON-lines file on its way to a scan."""

    con: duckdb.DuckDBPyConnection
    path: Path
    file_format: FileFormat
    table: TableFiles
    ledger: Ledger

    def open_delimited(self) -> Scan:
        """CSV and TSV; broken rows go to the ledger.

        Raises:
            DataError: There is no line of column names, or the file is damaged.
        """
        self.ledger.scratch.extend([_REJECTS, f"{_REJECTS}_scans"])
        names = self._column_names()
        n_rows = self._count_delimited_rows(names)
        if n_rows is not None:
            shift = int(self.table.header)
            relation = f"SELECT *, row_number() OVER () + {shift} AS {ROW} FROM {self._csv(names)}"
            return Scan(self.ledger.files[-1], relation, names, n_rows)
        logger.info("%s: rows and lines do not add up, reading it line by line", self.path)
        rows = records(self._lines(skip=int(self.table.header)), len(names), self._dialect())
        name, n_rows = self._store(rows, names)
        return Scan(self.ledger.files[-1], f"SELECT * FROM {name}", names, n_rows)

    def open_json(self) -> Scan:
        """JSON lines; the columns are the keys of all objects, other lines go to the ledger.

        Raises:
            DataError: The file is damaged.
        """
        self.ledger.scratch.extend([_REJECTS, f"{_REJECTS}_scans"])
        numbered = f"SELECT row_number() OVER () AS {ROW}, line FROM {self._whole_lines()}"
        if self._count_lines() is None:
            logger.info("%s: reading it line by line", self.path)
            name, _ = self._store(
                (
                    Record(line.number, line.text, [line.text] if line.is_decoded else None)
                    for line in self._lines()
                ),
                ("line",),
            )
            numbered = f"SELECT * FROM {name}"
        filled = rf"SELECT * FROM ({numbered}) WHERE trim(line, E' \t\r') <> ''"
        is_object = "CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE false END"
        self.ledger.add_broken(f"SELECT {ROW}, line FROM ({filled}) WHERE NOT ({is_object})")
        objects = f"SELECT * FROM ({filled}) WHERE {is_object}"
        [(n_objects, found)] = self.con.execute(
            f"SELECT count(*), (SELECT list(DISTINCT key ORDER BY key) FROM "
            f"(SELECT unnest(json_keys(line)) AS key FROM ({objects}))) FROM ({objects})"
        ).fetchall()
        keys = list(found or ())
        names = _distinct(keys)
        values = "".join(
            f", {_json_value(key)} AS {quoted(name)}" for key, name in zip(keys, names, strict=True)
        )
        n_rows = int(n_objects) + self.ledger.n_broken()
        relation = f"SELECT {ROW}{values} FROM ({objects})"
        return Scan(self.ledger.files[-1], relation, names, n_rows, is_json=True)

    def _column_names(self) -> tuple[str, ...]:
        if self.table.names is not None:
            return self.table.names
        with closing(
            numbered_lines(self.path, self.file_format.compression, self.table.encoding)
        ) as lines:
            first = next(lines, None)
        if first is None:
            raise DataError(f"{self.path} holds empty lines only, expected a line of column names.")
        try:
            found = split_values(first.text, self._dialect())
        except UnclosedQuoteError:
            found = None
        if found is None or not first.is_decoded:
            raise DataError(
                f"{self.path}: its first line cannot be taken to pieces, expected the names of the "
                f"columns: {first.text[:80]!r}. Correct the line, or set delimiter, quote, "
                f"encoding or header = false with names in dataset.toml."
            )
        return _distinct(found)

    def _count_delimited_rows(self, names: tuple[str, ...]) -> int | None:
        """Rows of the file where DuckDB's parser accounts for every line, else None."""
        lines = self._count_lines()
        if lines is None or lines.n_odd_quotes:
            return None
        try:
            counted = self._execute_csv(f"SELECT count(*) FROM {self._csv(names)}")
            broken = f"SELECT DISTINCT line FROM {_REJECTS}"
            [(n_broken,)] = self.con.execute(f"SELECT count(*) FROM ({broken})").fetchall()
            n_rows = lines.n_filled - int(self.table.header)
            if counted[0] + n_broken != n_rows:
                return None
            numbered = f"SELECT row_number() OVER () AS n, line FROM {self._whole_lines()}"
            if n_broken:
                self.ledger.add_broken(f"SELECT * FROM ({numbered}) WHERE n IN ({broken})")
            if n_broken or lines.n_filled < lines.n_lines:
                self.ledger.add_skipped(
                    f"SELECT n FROM ({numbered}) WHERE line IS NULL OR n IN ({broken})"
                )
            return n_rows
        except duckdb.InvalidInputException:
            return None
        finally:
            self._drop_rejects()

    def _count_lines(self) -> _LineCount | None:
        """Lines of the file where DuckDB reads them all, else None."""
        quote = literal(self.table.quote)
        n_quotes = f"length(line) - length(replace(line, {quote}, ''))"
        odd = f"({n_quotes}) % 2 = 1" if self.table.quote else "false"
        try:
            counted = self._execute_csv(
                f"SELECT count(*), count(line), count(*) FILTER (WHERE {odd}) "
                f"FROM {self._whole_lines()}"
            )
            [(n_rejected,)] = self.con.execute(f"SELECT count(*) FROM {_REJECTS}").fetchall()
        except duckdb.InvalidInputException:
            return None
        finally:
            self._drop_rejects()
        return None if n_rejected else _LineCount(*(int(value) for value in counted))

    def _store(self, rows: Iterator[Record], names: tuple[str, ...]) -> tuple[str, int]:
        """Put rows into a temporary table, broken ones into the ledger.

        Returns:
            Name of the table and the number of rows of both.
        """
        name = f"cf_lines_{self.ledger.current}"
        columns = "".join(f", {quoted(column)} VARCHAR" for column in names)
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({ROW} BIGINT{columns})")
        self.ledger.scratch.append(name)
        schema = pa.schema(
            [pa.field("row", pa.int64())]
            + [pa.field(f"c{i}", pa.string()) for i in range(len(names))]
        )
        nulls = {"", self.table.null}
        n_rows = 0
        while batch := list(islice(rows, _BATCH)):
            n_rows += len(batch)
            self.ledger.add_broken_lines([
                (record.line, record.text) for record in batch if record.values is None
            ])
            whole = [(record.line, record.values) for record in batch if record.values is not None]
            arrays = [pa.array([line for line, _ in whole], pa.int64())]
            for column in range(len(names)):
                texts = (values[column] for _, values in whole)
                arrays.append(pa.array([None if t in nulls else t for t in texts], pa.string()))
            self.con.register("cf_batch", pa.Table.from_arrays(arrays, schema=schema))
            self.con.execute(f"INSERT INTO {name} SELECT * FROM cf_batch")
            self.con.unregister("cf_batch")
        return name, n_rows

    def _lines(self, skip: int = 0) -> Iterator[Line]:
        lines = numbered_lines(self.path, self.file_format.compression, self.table.encoding)
        return islice(lines, skip, None)

    def _dialect(self) -> Dialect:
        default = "\t" if self.file_format.name == "tsv" else ","
        escape = self.table.quote if self.table.escape is None else self.table.escape
        return Dialect(self.table.delimiter or default, self.table.quote, escape)

    def _csv(self, names: tuple[str, ...]) -> str:
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
        nulls = [""] if self.table.null is None else ["", self.table.null]
        header = "true" if self.table.header else "false"
        options = f"nullstr = [{', '.join(literal(null) for null in nulls)}], header = {header}"
        return self._read_csv(self._dialect(), columns, options)

    def _whole_lines(self) -> str:
        dialect = Dialect(_NO_DELIMITER, "", "")
        return self._read_csv(dialect, "'line': 'VARCHAR'", "header = false")

    def _read_csv(self, dialect: Dialect, columns: str, options: str) -> str:
        # With ignore_errors instead, DuckDB 2.0 drops good lines behind a broken one.
        return (
            f"read_csv({path_literal(self.path)}, auto_detect = false, columns = {{{columns}}}, "
            f"delim = {literal(dialect.delimiter)}, quote = {literal(dialect.quote)}, "
            f"escape = {literal(dialect.escape)}, {options}, store_rejects = true, "
            f"rejects_table = '{_REJECTS}', rejects_scan = '{_REJECTS}_scans', "
            f"compression = '{self.file_format.compression}', encoding = '{self.table.encoding}')"
        )

    def _execute_csv(self, sql: str) -> tuple[int, ...]:
        self._drop_rejects()
        # The table of rejects is written only when the last row has been fetched.
        rows = self.con.execute(sql).fetchall()
        return cast(tuple[int, ...], rows[0])

    def _drop_rejects(self) -> None:
        self.con.execute(f"DROP TABLE IF EXISTS {_REJECTS}")
        self.con.execute(f"DROP TABLE IF EXISTS {_REJECTS}_scans")


@dataclass(frozen=True)
class _LineCount:
    n_lines: int
    n_filled: int
    n_odd_quotes: int


def _json_value(name: str) -> str:
    """A key's value as text: the digits of a number, the JSON of a list."""
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    return f"json_extract_string(line, {literal(pointer)})"


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Names of columns, empty and repeated ones made distinct as DuckDB compares them."""
    taken: set[str] = set()
    distinct: list[str] = []
    for position, name in enumerate(names):
        candidate = unique = name or f"column{position}"
        number = 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{candidate}_{number}"
        taken.add(unique.casefold())
        distinct.append(unique)
    return tuple(distinct)
