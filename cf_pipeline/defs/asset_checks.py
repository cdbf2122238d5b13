"""Checks that run with their asset: after the rows are written and before they are committed.

A blocking check that fails rolls the write back, so that what was good before stays readable and
nothing below sees the bad rows. Without new rows the checks look at those that are there.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import duckdb
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.recipes.configuration import Configuration
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.storage.sql import columns_sql, equals
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES
from cf_pipeline.verdict import Verdict


@dataclass(frozen=True)
class Checked:
    """What a check looks at.

    Attributes:
        asset: its name.
        connection: sees the rows that are to be committed, and every other table.
        scope: the model version whose rows were written, for tables that keep several.
        configuration: resolved.
        dataset: the parsed dataset.toml.
    """

    asset: str
    connection: duckdb.DuckDBPyConnection
    scope: str | None
    configuration: Configuration
    dataset: Dataset

    def frame(self, table: str, *columns: str, where: str = "true") -> pl.DataFrame:
        """Rows of a table; of the asset's own scoped tables, those of its scope."""
        declared = TABLES[table]
        if declared.scope is not None and self.scope is not None:
            where = f"({where}) and {equals(declared.scope, self.scope)}"
        shown = columns_sql(columns) if columns else "*"
        order = columns_sql([name for name in declared.order if not columns or name in columns])
        ordered = f" order by {order}" if order else ""
        rows: pl.DataFrame = self.connection.sql(
            f"select {shown} from {table} where {where}{ordered}"
        ).pl()
        return rows


@dataclass(frozen=True)
class Check:
    """One check of an asset.

    Attributes:
        name: in the UI.
        look: what judges.
        blocking: whether failing rolls the write back; else it is a warning.
    """

    name: str
    look: Callable[[Checked], Verdict]
    blocking: bool = True

    def spec(self, asset: str) -> dg.AssetCheckSpec:
        """What Dagster is told of it."""
        return dg.AssetCheckSpec(
            self.name, asset=asset, description=inspect.getdoc(self.look), blocking=self.blocking
        )


class CheckFailedError(DataError):
    """A blocking check turned rows away."""


class Verdicts:
    """Runs the checks of an asset and remembers what they said."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = checks
        self._said: list[tuple[Check, Verdict]] = []

    def look(self, checked: Checked) -> None:
        """Ask every check.

        Raises:
            CheckFailedError: a blocking one failed.
        """
        self._said = [(check, check.look(checked)) for check in self._checks]
        failed = [
            f"{check.name}: {verdict.message}"
            for check, verdict in self._said
            if check.blocking and not verdict.passed
        ]
        if failed:
            raise CheckFailedError(
                f"{checked.asset} was not written, what was there before stays. " + " ".join(failed)
            )

    def results(self, asset: str, log: Any) -> Iterator[dg.AssetCheckResult]:
        """For Dagster; a warning is told in the log, too."""
        for check, verdict in self._said:
            if not verdict.passed and not check.blocking:
                log.warning(f"{check.name}: {verdict.message}")
            yield dg.AssetCheckResult(
                passed=verdict.passed,
                asset_key=asset,
                check_name=check.name,
                description=verdict.message,
                severity=(
                    dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
                ),
                metadata=dict(verdict.facts),
            )


def scope_of(asset: str, model: str | None) -> str | None:
    """The scope of an asset's current rows: the current model's, where its tables are scoped."""
    return model if TABLES[ASSET_TABLES[asset][0]].scope is not None else None
