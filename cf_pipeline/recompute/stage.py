"""What a stage works with, and what it hands back. A stage is the making of one asset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from cf_pipeline.configuration.choices import Configuration
from cf_pipeline.recompute.progress import StageProgress
from cf_pipeline.recompute.staleness import StageSpec, recorded_version
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sql import literal, path_literal
from cf_pipeline.storage.artifacts import Artifact, Artifacts
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES
from cf_pipeline.storage.warehouse import Warehouse


@dataclass(frozen=True)
class Output:
    """What a body hands back.

    Attributes:
        tables: rows of each of the asset's tables: a frame, or SQL to run on the warehouse.
        metadata: what the UI shows beside row counts and timing.
        scope: the model version whose rows are replaced, for tables that keep several.
        data_version: where something other than the rows says it.
        artifacts: files published beside.
        others: rows of further scopes, by scope and table, written in the same transaction and
            no part of the data version.
        started_from: the version that a warm start continued, which is then a recorded input.
        spent: files of no use once the rows are written.
    """

    tables: Mapping[str, pl.DataFrame | str]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    scope: str | None = None
    data_version: str | None = None
    artifacts: Sequence[Artifact] = ()
    others: Mapping[str, Mapping[str, pl.DataFrame]] = field(default_factory=dict)
    started_from: str | None = None
    spent: Sequence[Path] = ()


@dataclass(frozen=True)
class OpenHome:
    """A home that a run holds, with what it says.

    Attributes:
        home: the folder.
        configuration: resolved when the run took the lock.
    """

    home: Home
    configuration: Configuration

    @property
    def warehouse(self) -> Warehouse:
        """The DuckDB file of this home."""
        return open_warehouse(self.home, self.configuration)

    @property
    def artifacts(self) -> Artifacts:
        """The content-addressed files of this home."""
        return Artifacts(self.home.artifacts_path)


def open_warehouse(home: Home, configuration: Configuration) -> Warehouse:
    """The warehouse of a home with the memory and threads that the configuration grants."""
    resources = configuration.resources
    return Warehouse(
        home.warehouse_path,
        memory_limit=resources.memory_limit,
        threads=resources.threads or None,
    )


@dataclass(frozen=True)
class RunFacts:
    """What a stage knows of the run that it is part of.

    Attributes:
        run_id: Dagster's.
        log: Dagster's.
        force: whether what did not change is computed, too, and nothing kept.
        refresh: whether bodies run although nothing differs, and keep the rows that they can.
        warm: whether this run continues from the last factors and checkpoint.
    """

    run_id: str
    log: Any
    force: bool = False
    refresh: bool = False
    warm: bool = False


@dataclass(frozen=True)
class Stage:
    """What a body works with.

    Attributes:
        spec: what it declares to read.
        run: the run it is part of.
        configuration: resolved.
        dataset: the parsed dataset.toml.
        warehouse: to read parents from.
        artifacts: to publish files.
        scratch: a folder that is gone afterwards.
        wandb_folder: where offline runs go.
        unfinished: a file that outlives the run, for what a training that is ended goes on from.
        identity: hash of everything that is read: code, settings, parents, files.
        previous: what was recorded when the asset was last written, if it was.
        reusable: whether the code and configuration that wrote the previous rows are today's, so
            that rows for inputs that did not change can be kept.
    """

    spec: StageSpec
    run: RunFacts
    configuration: Configuration
    dataset: Dataset
    warehouse: Warehouse
    artifacts: Artifacts
    scratch: Path
    wandb_folder: Path
    unfinished: Path
    identity: str
    previous: AssetRecord | None
    reusable: bool

    @property
    def asset(self) -> str:
        """Name of what is made."""
        return self.spec.asset

    @property
    def log(self) -> Any:
        """Dagster's."""
        return self.run.log

    @property
    def limits(self) -> tuple[str, int | None]:
        """Memory and threads that DuckDB may take, None leaving the choice to it."""
        resources = self.configuration.resources
        return resources.memory_limit, resources.threads or None

    def section(self, key: str) -> Any:
        """A part of dataset.toml as plain JSON types, such as `dataset.truth`.

        Raises:
            ValueError: the stage does not declare to read it, so it would not be due by a change.
        """
        if key not in self.spec.reads:
            raise ValueError(f"{self.asset} does not declare to read {key}")
        return self.dataset.sections()[key]

    @property
    def has_covers(self) -> bool:
        """Whether the data set has pictures, rather than vectors from outside in their place."""
        return self.dataset.covers is not None

    def skipped(self) -> Output:
        """Tables without a row, and why: what looks at pictures has none to look at."""
        tables = {name: TABLES[name].empty_sql() for name in ASSET_TABLES[self.asset]}
        scope = self.version("trained_cnn") if TABLES[self.asset].scope else None
        reason = "no covers: vectors of [[features]] take their place"
        self.log.info(f"skipped, {reason}")
        return Output(tables, {"skipped": reason}, scope=scope)

    def own_vectors(self, *columns: str) -> pl.DataFrame:
        """`project_id` and columns of `user_embeddings`, of the set in the place of covers."""
        return self.frame("user_embeddings", "project_id", *columns, where="in_place_of_covers")

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
        con.execute(f"copy ({query}) to {literal(str(file))} (format parquet)")
        return f"select * from read_parquet({path_literal(file)})"

    def progress(self, what: str) -> StageProgress:
        """A callback that writes lines with rate and time left, and a bar on a terminal."""
        return StageProgress(self.log, self.asset, what)


Body = Callable[[Stage], Output]
