"""What the body of an asset works with, and what it hands back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from cf_pipeline.defs.progress import StageProgress
from cf_pipeline.defs.staleness import recorded_version
from cf_pipeline.recipes.configuration import Configuration
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.expressions import quote_literal, sql_path
from cf_pipeline.storage.artifacts import Artifact, Artifacts
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.warehouse import Warehouse


@dataclass(frozen=True)
class Output:
    """What an asset's body hands back.

    Attributes:
        tables: rows of each of the asset's tables: a frame, or SQL to run on the warehouse.
        metadata: what the UI shows beside row counts and timing.
        scope: the model version whose rows are replaced, for tables that keep several.
        data_version: where something other than the rows says it.
        artifacts: files published beside.
        others: rows of further scopes, by scope and table, written in the same transaction and
            no part of the data version.
        started_from: the version that a warm start continued, which is then a recorded input.
    """

    tables: Mapping[str, pl.DataFrame | str]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    scope: str | None = None
    data_version: str | None = None
    artifacts: Sequence[Artifact] = ()
    others: Mapping[str, Mapping[str, pl.DataFrame]] = field(default_factory=dict)
    started_from: str | None = None


@dataclass(frozen=True)
class Stage:
    """What an asset's body works with.

    Attributes:
        asset: its name.
        run_id: Dagster's.
        configuration: resolved.
        dataset: the parsed dataset.toml.
        warehouse: to read parents from.
        artifacts: to publish files.
        scratch: a folder that is gone afterwards.
        wandb_folder: where offline runs go.
        previous: what was recorded when the asset was last written, if it was.
        reusable: whether the code and configuration that wrote the previous rows are today's, so
            that rows for inputs that did not change can be kept.
        warm: whether this run continues from the last factors and checkpoint.
        log: Dagster's.
    """

    asset: str
    run_id: str
    configuration: Configuration
    dataset: Dataset
    warehouse: Warehouse
    artifacts: Artifacts
    scratch: Path
    wandb_folder: Path
    previous: AssetRecord | None
    reusable: bool
    warm: bool
    log: Any

    def frame(self, table: str, *columns: str, where: str | None = None) -> pl.DataFrame:
        """Rows of a parent's table."""
        return self.warehouse.frame(table, columns or None, where=where)

    def previous_rows(self, *columns: str, where: str | None = None) -> pl.DataFrame | None:
        """Rows written last, if today's code and configuration wrote them and any are there."""
        if not self.reusable:
            return None
        rows = self.frame(self.asset, *columns, where=where)
        return rows if rows.height else None

    def version(self, asset: str) -> str:
        """Current data version of an asset; for trained_cnn that is the model version."""
        return recorded_version(self.warehouse.records(), asset, needed_by=self.asset)

    def spilled(self, con: duckdb.DuckDBPyConnection, query: str) -> str:
        """Write a query's rows to scratch, for rows too many to hold; returns SQL to read them."""
        file = self.scratch / "spilled.parquet"
        con.execute(f"copy ({query}) to {quote_literal(str(file))} (format parquet)")
        return f"select * from read_parquet({sql_path(file)})"

    def progress(self, what: str) -> StageProgress:
        """A callback that writes lines with rate and time left, and a bar on a terminal."""
        return StageProgress(self.log, self.asset, what)


Body = Callable[[Stage], Output]
