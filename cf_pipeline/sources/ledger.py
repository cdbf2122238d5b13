"""What a file comes to: a relation to select from, and a ledger of the rows that are in none.

The ledger keeps broken rows with their text, and which lines of a file gave no row, so that the
place of every other row can be stated as a line of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb

ROW = '"__cf_row"'
"""The column that every relation has beside the file's own: where in the file a row stands."""

_BROKEN = "cf_broken_lines"
_SKIPPED = "cf_skipped_lines"


@dataclass(frozen=True)
class Scan:
    """A file that can be selected from.

    Attributes:
        file: Its name for messages.
        relation: A SELECT that gives `columns` and `__cf_row`, rows in the file's order.
        columns: Names of its columns.
        n_rows: Rows the file holds, those that went to the ledger included.
        is_json: Whether a text that begins with `[` may be a list.
    """

    file: str
    relation: str
    columns: tuple[str, ...]
    n_rows: int
    is_json: bool = False


@dataclass
class Ledger:
    """Temporary tables about the rows that no relation gives, file by file.

    Attributes:
        con: The connection that holds the tables.
        files: Names of the files begun so far; the last one is current.
        scratch: Temporary tables to drop with the ledger.
    """

    con: duckdb.DuckDBPyConnection
    files: list[str] = field(default_factory=list)
    scratch: list[str] = field(default_factory=lambda: [_BROKEN, _SKIPPED])

    def __post_init__(self) -> None:
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {_BROKEN} (file INTEGER, line BIGINT, content VARCHAR)"
        )
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE {_SKIPPED} (file INTEGER, line BIGINT)")

    @property
    def current(self) -> int:
        """Number of the current file, from 0."""
        return len(self.files) - 1

    def begin(self, file: str) -> None:
        """Rows added from now on belong to this file."""
        self.files.append(file)

    def add_broken(self, select: str) -> None:
        """Add the rows of a SELECT of line number and text."""
        self.con.execute(f"{self._insert_broken()} FROM ({select}) AS broken(line, text)")

    def add_broken_lines(self, lines: Sequence[tuple[int, str]]) -> None:
        """Add rows by line number and text."""
        if lines:
            self.con.execute(
                f"{self._insert_broken()} "
                "FROM (SELECT unnest(?::BIGINT[]), unnest(?::VARCHAR[])) AS broken(line, text)",
                [[number for number, _ in lines], [text for _, text in lines]],
            )

    def add_skipped(self, select: str) -> None:
        """Add line numbers that gave no row, where the relation numbers the rows it gives."""
        self.con.execute(
            f"INSERT INTO {_SKIPPED} SELECT {self.current}, line FROM ({select}) AS skipped(line)"
        )

    def n_broken(self) -> int:
        """How many rows of the current file are broken."""
        counted = f"SELECT count(*) FROM {_BROKEN} WHERE file = {self.current}"
        return int(self.con.execute(counted).fetchall()[0][0])

    def broken_sql(self) -> str:
        """A SELECT of `file, line, content` of all broken rows."""
        return f"SELECT file, line, content FROM {_BROKEN}"

    def placed_sql(self, rows: str) -> str:
        """A SELECT that replaces `line` of rows (with `file`) by the line of the file.

        A row numbered k stands behind every skipped line, the j-th say, that has fewer than k rows
        before it: that is line - j of them.
        """
        before = (
            "SELECT file, line - j AS n_rows_before, max(j) AS n_skipped FROM (SELECT file, line, "
            f"row_number() OVER (PARTITION BY file ORDER BY line) AS j FROM {_SKIPPED}) "
            "GROUP BY file, n_rows_before"
        )
        return (
            f"SELECT r.* REPLACE (r.line + coalesce(s.n_skipped, 0) AS line) FROM ({rows}) AS r "
            f"ASOF LEFT JOIN ({before}) AS s ON r.file = s.file AND r.line > s.n_rows_before"
        )

    def _insert_broken(self) -> str:
        return f"INSERT INTO {_BROKEN} SELECT {self.current}, line, to_json({{'line': text}})"

    def close(self) -> None:
        """Drop the ledger's tables."""
        for name in self.scratch:
            self.con.execute(f"DROP TABLE IF EXISTS {name}")
