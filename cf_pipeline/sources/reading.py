"""Reading interactions and projects into temporary tables, row by row accounted for.

Rows that can be used go to `staged_raw_interactions` and `staged_raw_projects`, the others with a
reason to the table of the same name with `_rejected`: read = used + rejected, with `read` counted
apart. Everything is one stream through DuckDB per file; nothing is interpreted here beyond what
`dataset.toml` says, and nothing is cut, weighted or deduplicated (raw is raw).
"""

from __future__ import annotations

import duckdb

from cf_pipeline.sources.conversions import text_sql
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.expressions import quote_literal
from cf_pipeline.sources.files import interaction_files, project_files
from cf_pipeline.sources.judging import JudgedTable, ReadCounts

__all__ = ["INTERACTIONS", "PROJECTS", "ReadCounts", "stage_interactions", "stage_projects"]

NO_USER = "no user"
NO_PROJECT = "no project"
UNKNOWN_KIND = "unknown kind"
BAD_COUNT = "count not a positive whole number"
BAD_TIME = "time unreadable"

INTERACTIONS = "staged_raw_interactions"
PROJECTS = "staged_raw_projects"

_INTERACTION_TYPES = {
    "user_id": "VARCHAR",
    "project_id": "VARCHAR",
    "kind": "VARCHAR",
    "occurred_at": "TIMESTAMP",
    "count": "BIGINT",
}
_PROJECT_TYPES = {
    "project_id": "VARCHAR",
    "title": "VARCHAR",
    "owners": "VARCHAR[]",
    "split_group": "VARCHAR",
    "stratum": "VARCHAR",
    "field": "VARCHAR",
    "subfield": "VARCHAR",
    "tags": "VARCHAR[]",
    "cover": "VARCHAR",
}


def stage_interactions(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> ReadCounts:
    """Read the interactions of a data set into temporary tables.

    Creates `staged_raw_interactions` (user_id VARCHAR, project_id VARCHAR, kind VARCHAR,
    occurred_at TIMESTAMP in UTC or NULL, count BIGINT from 1) in the order of the files, and
    `staged_raw_interactions_rejected` (file, row_number, reason, content as JSON), where
    `row_number` is the line in a text file and the row in a Parquet file, from 1.

    Args:
        con: A connection that may write temporary tables; its own tables are not touched.
        dataset: What to read.

    Raises:
        ConfigError: A file is not there or its format is not known.
        DataError: A file or column cannot be used, or no row can.
    """
    kinds = ", ".join(quote_literal(kind) for kind in dataset.kinds)
    reasons = {
        NO_USER: "user_id IS NULL",
        NO_PROJECT: "project_id IS NULL",
        UNKNOWN_KIND: f"kind IS NULL OR kind NOT IN ({kinds})",
        BAD_COUNT: "count IS NULL",
        BAD_TIME: f"({text_sql('in_occurred_at')}) IS NOT NULL AND occurred_at IS NULL",
    }
    table = JudgedTable(
        con,
        key="interactions",
        name=INTERACTIONS,
        types=_INTERACTION_TYPES,
        specs=dataset.interactions.columns.model_dump(),
        reasons=reasons,
    )
    return table.read(dataset, dataset.interactions, interaction_files(dataset))


def stage_projects(con: duckdb.DuckDBPyConnection, dataset: Dataset) -> ReadCounts:
    """Read the projects of a data set into temporary tables.

    Creates `staged_raw_projects` (project_id, title, owners VARCHAR[], split_group, stratum, field,
    subfield, tags VARCHAR[], cover; all but the first may be NULL) in the order of the files, and
    `staged_raw_projects_rejected` as for interactions. Of rows with one id the first is kept.

    Args:
        con: A connection that may write temporary tables; its own tables are not touched.
        dataset: What to read.

    Raises:
        ConfigError: A file is not there or its format is not known.
        DataError: A file or column cannot be used, or no row can.
    """
    table = JudgedTable(
        con,
        key="projects",
        name=PROJECTS,
        types=_PROJECT_TYPES,
        specs=dataset.projects.columns.model_dump(),
        reasons={NO_PROJECT: "project_id IS NULL"},
        unique="project_id",
    )
    return table.read(dataset, dataset.projects, project_files(dataset))
