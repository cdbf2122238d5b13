"""Reading interactions and projects: from a user's files to Parquet, row by row accounted for.

Rows that can be used go to the temporary tables `loaded_interactions` and `loaded_projects`, the
others with a reason to the table of the same name with `_rejected`: read = used + rejected, with
`read` counted apart. Nothing is interpreted here beyond what `dataset.toml` says, and nothing is
cut, weighted or deduplicated (raw is raw). The warehouse is not touched meanwhile: it takes the
result from a scratch folder in one transaction later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cf_pipeline.errors import ConfigError
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.description import InteractionColumns, ProjectColumns
from cf_pipeline.sources.expressions import text_sql
from cf_pipeline.sources.files import interaction_files, project_files
from cf_pipeline.sources.judging import JudgedTable, ReadCounts
from cf_pipeline.sql import literal, path_literal

NO_USER = "no user"
NO_PROJECT = "no project"
UNKNOWN_KIND = "unknown kind"
BAD_COUNT = "count not a positive whole number"
BAD_TIME = "time unreadable"

# Every key of [interactions.columns] and [projects.columns] is a column: text, but for these.
_INTERACTION_TYPES = dict.fromkeys(InteractionColumns.model_fields, "VARCHAR") | {
    "occurred_at": "TIMESTAMP",
    "count": "BIGINT",
}
_PROJECT_TYPES = dict.fromkeys(ProjectColumns.model_fields, "VARCHAR") | {
    "owners": "VARCHAR[]",
    "tags": "VARCHAR[]",
}


@dataclass(frozen=True)
class Limits:
    """What DuckDB may take while files are read.

    Attributes:
        memory_limit: Most memory, with its unit; what needs more spills to disk.
        threads: Most threads; None leaves the choice to DuckDB.
    """

    memory_limit: str
    threads: int | None

    def connect(self, folder: Path) -> duckdb.DuckDBPyConnection:
        """A database in memory that spills into a folder.

        Raises:
            ConfigError: DuckDB does not take the limits.
        """
        threads = {} if self.threads is None else {"threads": self.threads}
        spill = str(folder / "spill")
        try:
            return duckdb.connect(
                config={"temp_directory": spill, "memory_limit": self.memory_limit, **threads}
            )
        except duckdb.Error as error:
            raise ConfigError(
                f"DuckDB takes neither memory_limit {self.memory_limit!r} with threads "
                f"{self.threads!r}: {error}. Expected such as '2GB' and 2."
            ) from error


@dataclass(frozen=True)
class Loaded:
    """Tables that were read, as SQL over the files they were written to, and figures about them."""

    tables: Mapping[str, str]
    summary: Mapping[str, float | str]


def export_interactions(dataset: Dataset, folder: Path, limits: Limits) -> Loaded:
    """Read `[interactions]` into Parquet below a folder.

    Raises:
        ConfigError, DataError: as `read_interactions`.
    """
    with limits.connect(folder) as con:
        return _exported(con, "interactions", read_interactions(con, dataset), folder)


def export_projects(dataset: Dataset, folder: Path, limits: Limits) -> Loaded:
    """Read `[projects]` into Parquet below a folder.

    Raises:
        ConfigError, DataError: as `read_projects`.
    """
    with limits.connect(folder) as con:
        return _exported(con, "projects", read_projects(con, dataset), folder)


def read_interactions(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> ReadCounts:
    """Read the interactions of a data set into temporary tables.

    Creates `loaded_interactions` (user_id VARCHAR, project_id VARCHAR, kind VARCHAR, occurred_at
    TIMESTAMP in UTC or NULL, count BIGINT from 1) in the order of the files, and
    `loaded_interactions_rejected` (file, row_number, reason, content as JSON), where `row_number`
    is the line in a text file and the row in a Parquet file, from 1.

    Args:
        con: A connection that may write temporary tables; its own tables are not touched.
        dataset: What to read.

    Raises:
        ConfigError: A file is not there or its format is not known.
        DataError: A file or column cannot be used, or no row can.
    """
    kinds = ", ".join(map(literal, dataset.kinds))
    reasons = {
        NO_USER: "user_id IS NULL",
        NO_PROJECT: "project_id IS NULL",
        UNKNOWN_KIND: f"kind IS NULL OR kind NOT IN ({kinds})",
        BAD_COUNT: "count IS NULL",
        BAD_TIME: f"({text_sql('in_occurred_at')}) IS NOT NULL AND occurred_at IS NULL",
    }
    columns = dataset.interactions.columns.model_dump()
    table = JudgedTable(con, "interactions", _INTERACTION_TYPES, columns, reasons)
    return table.read(dataset, dataset.interactions, interaction_files(dataset))


def read_projects(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> ReadCounts:
    """Read the projects of a data set into temporary tables.

    Creates `loaded_projects` (project_id, cover, title, owners VARCHAR[], split_group, stratum,
    field, subfield, tags VARCHAR[]; all but the first may be NULL) in the order of the files, and
    `loaded_projects_rejected` as for interactions. Of rows with one id the first is kept, or all of
    them are one project, as `repeated` says; all count as used then.

    Args:
        con: A connection that may write temporary tables; its own tables are not touched.
        dataset: What to read.

    Raises:
        ConfigError: A file is not there or its format is not known.
        DataError: A file or column cannot be used, or no row can.
    """
    columns = dataset.projects.columns.model_dump()
    reasons = {NO_PROJECT: "project_id IS NULL"}
    table = JudgedTable(
        con,
        "projects",
        _PROJECT_TYPES,
        columns,
        reasons,
        unique="project_id",
        unites=dataset.projects.repeated == "unite",
    )
    return table.read(dataset, dataset.projects, project_files(dataset))


def _exported(con: duckdb.DuckDBPyConnection, key: str, counts: ReadCounts, folder: Path) -> Loaded:
    tables = {}
    for part in (key, f"{key}_rejected"):
        file = folder / f"raw_{part}.parquet"
        con.execute(f"COPY loaded_{part} TO {literal(str(file))} (FORMAT parquet)")
        tables[f"raw_{part}"] = f"SELECT * FROM read_parquet({path_literal(file)})"
    reasons = ", ".join(f"{reason}: {n:,}" for reason, n in counts.by_reason.items())
    summary: dict[str, float | str] = {
        "rows_read": counts.read,
        "rows_used": counts.used,
        "rows_rejected": counts.rejected,
        "reasons_for_rejection": reasons or "none",
    }
    return Loaded(tables, summary)
