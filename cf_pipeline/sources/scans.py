"""One file as a DuckDB relation, whatever its format, with every row of it accounted for.

Rows that cannot be taken to pieces go to the ledger before anything else is read, and the number of
rows in the file is counted apart from reading them, so that a row that went missing is noticed.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from cf_pipeline.errors import DataError
from cf_pipeline.sources.description import TableFiles
from cf_pipeline.sources.expressions import sql_path
from cf_pipeline.sources.files import check_contents, format_of
from cf_pipeline.sources.ledger import ROW, Ledger, Scan
from cf_pipeline.sources.text_scans import TextFile


def open_scan(
    con: duckdb.DuckDBPyConnection, path: Path, table: TableFiles, ledger: Ledger
) -> Scan:
    """Look through a file once and say how to select from it.

    Args:
        con: A connection; temporary tables are written on it.
        path: The file.
        table: How it is read.
        ledger: Takes the rows that cannot be taken to pieces, under its current file.

    Raises:
        ConfigError: Its format is not known.
        DataError: It is not what its name says, is damaged, or has no column names.
    """
    file_format = format_of(path, table)
    check_contents(path, file_format, table.encoding)
    try:
        if file_format.name == "parquet":
            return _open_parquet(con, path, ledger)
        reader = TextFile(con, path, file_format, table, ledger)
        return reader.open_json() if file_format.name == "jsonl" else reader.open_delimited()
    except duckdb.Error as error:
        raise DataError(
            f"{path} cannot be read as {file_format.name}: {first_line(error)} "
            f"Export it again, or correct format and delimiter in dataset.toml."
        ) from error


def first_line(error: duckdb.Error) -> str:
    """DuckDB's message without its advice about options that are not ours."""
    return str(error).strip().splitlines()[0] + "."


def _open_parquet(con: duckdb.DuckDBPyConnection, path: Path, ledger: Ledger) -> Scan:
    source = f"read_parquet({sql_path(path)}, hive_partitioning = false)"
    described = con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    counted = con.execute(
        f"SELECT num_rows FROM parquet_file_metadata({sql_path(path)})"
    ).fetchone()
    assert counted is not None
    relation = f"SELECT *, file_row_number + 1 AS {ROW} FROM {source}"
    return Scan(ledger.files[-1], relation, tuple(row[0] for row in described), int(counted[0]))
