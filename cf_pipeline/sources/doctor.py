"""Looking a data set over before anything is computed from it.

Everything is read once into a scratch DuckDB and compared: do the two tables speak of the same
projects, are the covers there, do the users whom `dataset.toml` names occur. What would stop a run
is an error, what would quietly make its result worse a warning.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.findings import (
    Finding,
    ages_findings,
    boards_findings,
    covers_findings,
    excluded_users_findings,
    features_findings,
    groups_findings,
    joins_findings,
    kinds_findings,
    owners_findings,
    times_findings,
)
from cf_pipeline.sources.judging import ReadCounts
from cf_pipeline.sources.reading import Limits, read_interactions, read_projects

__all__ = ["Finding", "examine"]


def examine(dataset: Dataset, limits: Limits) -> list[Finding]:
    """Look over the files, columns, kinds, joins, covers and users of a data set.

    Args:
        dataset: What to look at; what is wrong with it is a finding and raises nothing.
        limits: What DuckDB may take.

    Raises:
        ConfigError: DuckDB does not take the limits.

    Returns:
        Findings in the order in which a run would meet them.
    """
    findings: list[Finding] = []
    with (
        tempfile.TemporaryDirectory(prefix="cf_pipeline_doctor_") as folder,
        limits.connect(Path(folder)) as con,
    ):
        interactions = _read(findings, con, dataset, "interactions", read_interactions)
        projects = _read(findings, con, dataset, "projects", read_projects)
        if interactions:
            findings.extend(kinds_findings(con, dataset))
            findings.extend(times_findings(con))
            findings.extend(ages_findings(con, dataset))
            findings.extend(excluded_users_findings(con, dataset))
            findings.extend(boards_findings(con, dataset))
        if interactions and projects:
            findings.extend(joins_findings(con))
            findings.extend(owners_findings(con, dataset))
        if projects:
            findings.extend(covers_findings(con, dataset))
            findings.extend(features_findings(con, dataset))
            findings.extend(groups_findings(con))
    return findings


def _read(
    findings: list[Finding],
    con: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    subject: str,
    read: Callable[[duckdb.DuckDBPyConnection, Dataset], ReadCounts],
) -> bool:
    """Read one table, note how that went, and say whether it can be looked at further."""
    try:
        counts = read(con, dataset)
    except (ConfigError, DataError) as error:
        findings.append(Finding("error", subject, str(error), f"See [{subject}] in dataset.toml."))
        return False
    for file in counts.files:
        message = f"{file.file}: {file.n_rows:,} rows; columns {', '.join(file.columns)}"
        findings.append(Finding("ok", subject, message))
    if counts.rejected:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in counts.by_reason.items())
        message = f"{counts.rejected:,} of {counts.read:,} rows cannot be used: {reasons}"
        remedy = f"A run keeps them in raw_{subject}_rejected, each with its file and row."
        findings.append(Finding("warning", subject, message, remedy))
    return True
