"""From a user's files to Parquet in a scratch folder, streamed through DuckDB.

The warehouse is not touched while files are read: it takes the result in one transaction later.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.expressions import quote_literal, sql_path
from cf_pipeline.sources.reading import ReadCounts, stage_interactions, stage_projects


@dataclass(frozen=True)
class Staged:
    """Tables that were read, as SQL over the files they were written to, and figures about them."""

    tables: dict[str, str]
    summary: dict[str, float | str]


def export_interactions(dataset: Dataset, folder: Path) -> Staged:
    """Read `[interactions]` into Parquet below a folder.

    Raises:
        ConfigError, DataError: as `stage_interactions`.
    """
    with duckdb.connect(config={"temp_directory": str(folder / "spill")}) as con:
        counts = stage_interactions(con, dataset)
        return _exported(con, "raw_interactions", counts, folder)


def export_projects(dataset: Dataset, folder: Path) -> Staged:
    """Read `[projects]` into Parquet below a folder.

    Raises:
        ConfigError, DataError: as `stage_projects`.
    """
    with duckdb.connect(config={"temp_directory": str(folder / "spill")}) as con:
        counts = stage_projects(con, dataset)
        return _exported(con, "raw_projects", counts, folder)


def _exported(
    con: duckdb.DuckDBPyConnection, name: str, counts: ReadCounts, folder: Path
) -> Staged:
    tables = {}
    for table in (name, f"{name}_rejected"):
        file = folder / f"{table}.parquet"
        con.execute(f"copy staged_{table} to {quote_literal(str(file))} (format parquet)")
        tables[table] = f"select * from read_parquet({sql_path(file)})"
    reasons = ", ".join(f"{reason}: {n:,}" for reason, n in counts.by_reason.items())
    summary: dict[str, float | str] = {
        "rows_read": counts.read,
        "rows_used": counts.used,
        "rows_rejected": counts.rejected,
        "reasons_for_rejection": reasons or "none",
    }
    return Staged(tables, summary)
