"""How an asset of this pipeline is made: compare, compute, publish, describe.

`stage_asset` wraps a body into a Dagster asset. Before the body runs, what it would read (parents'
data versions, its sections of the configuration, outside files, its source) is compared with what
was recorded beside the table it wrote last; when nothing differs the body does not run and the
materialization says `unchanged`. What the body returns is written with its record in one
transaction, and the data version comes from the rows.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import polars as pl

from cf_pipeline.defs.metadata import computed_metadata, definition_metadata, unchanged_metadata
from cf_pipeline.defs.progress import StageProgress
from cf_pipeline.defs.resources import HomeResource
from cf_pipeline.defs.staleness import (
    Outside,
    Reading,
    StageSpec,
    read_inputs,
    recorded_version,
)
from cf_pipeline.defs.versions import code_version
from cf_pipeline.errors import CfPipelineError
from cf_pipeline.recipes.configuration import Configuration
from cf_pipeline.sources.dataset import Dataset, load_dataset
from cf_pipeline.sources.expressions import quote_literal, sql_path
from cf_pipeline.storage.artifacts import Artifact, Artifacts
from cf_pipeline.storage.records import AssetRecord, Draft
from cf_pipeline.storage.warehouse import Warehouse

OWNER = "team:cf_pipeline"
CONFIG_HASH_TAG = "cf_pipeline/config_hash"


class RunConfig(dg.Config):
    """The launchpad offers this and nothing else: everything else has one owner, config.toml."""

    force: bool = False


@dataclass(frozen=True)
class Output:
    """What an asset's body hands back.

    Attributes:
        tables: rows of each of the asset's tables: a frame, or SQL to run on the warehouse.
        metadata: what the UI shows beside row counts and timing.
        scope: the model version whose rows are replaced, for tables that keep several.
        data_version: where something other than the rows says it.
        artifacts: files published beside.
    """

    tables: Mapping[str, pl.DataFrame | str]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    scope: str | None = None
    data_version: str | None = None
    artifacts: Sequence[Artifact] = ()


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

STAGES: dict[str, StageSpec] = {}
"""Every asset of the pipeline by name, filled as the files of `defs` are loaded."""


def stage_asset(
    *,
    group: str,
    parents: Sequence[str] = (),
    reads: Sequence[str] = (),
    outside: Outside | None = None,
    kinds: Sequence[str] = (),
) -> Callable[[Body], dg.AssetsDefinition]:
    """Make a Dagster asset of a body.

    Args:
        group: the group of the graph.
        parents: assets whose tables the body reads.
        reads: sections (`pruning`, `dataset.truth`) or fields (`vision.init`) that it depends on.
        outside: fingerprint of files that it reads.
        kinds: shown on the asset beside `duckdb`.
    """

    def wrap(body: Body) -> dg.AssetsDefinition:
        name = body.__name__
        spec = StageSpec(name, group, tuple(parents), tuple(reads), outside, code_version(body))
        STAGES[name] = spec
        return _dagster_asset(spec, body, {"duckdb", *kinds})

    return wrap


def _dagster_asset(spec: StageSpec, body: Body, kinds: set[str]) -> dg.AssetsDefinition:
    @dg.asset(
        name=spec.asset,
        group_name=spec.group,
        deps=list(spec.parents),
        code_version=spec.code_version,
        description=body.__doc__,
        kinds=kinds,
        owners=[OWNER],
        metadata=definition_metadata(spec.asset, spec.reads),
    )
    def materialize(
        context: dg.AssetExecutionContext, config: RunConfig, home: HomeResource
    ) -> dg.MaterializeResult[Any]:
        try:
            return _materialize(context, config.force, home, spec, body)
        except CfPipelineError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error

    return materialize


def _materialize(
    context: dg.AssetExecutionContext,
    force: bool,
    home: HomeResource,
    spec: StageSpec,
    body: Body,
) -> dg.MaterializeResult[Any]:
    started = time.monotonic()
    reading = read_inputs(
        spec, load_dataset(home.configuration.dataset), home.configuration, home.warehouse
    )
    record = None if force else reading.current
    if record is not None:
        metadata = unchanged_metadata(home.warehouse, record, context)
        context.log.info("unchanged")
    else:
        with home.scratch() as scratch:
            stage = _stage(context, home, reading, Path(scratch), force)
            output = body(stage)
            record = _publish(stage, reading, output, time.monotonic() - started)
        metadata = computed_metadata(home.warehouse, record, output.metadata)
        context.log.info(f"done in {time.monotonic() - started:.1f} s")
    return dg.MaterializeResult(
        metadata=metadata,
        data_version=dg.DataVersion(record.data_version),
        tags={CONFIG_HASH_TAG: reading.config_hash},
    )


def _stage(
    context: dg.AssetExecutionContext,
    home: HomeResource,
    reading: Reading,
    scratch: Path,
    force: bool,
) -> Stage:
    return Stage(
        asset=reading.spec.asset,
        run_id=context.run.run_id,
        configuration=home.configuration,
        dataset=reading.dataset,
        warehouse=home.warehouse,
        artifacts=home.artifacts,
        scratch=scratch,
        wandb_folder=home.home.wandb_path,
        previous=reading.previous,
        reusable=reading.has_same_maker and not force,
        log=context.log,
    )


def _publish(stage: Stage, reading: Reading, output: Output, seconds: float) -> AssetRecord:
    """Rows and record in one transaction."""
    draft = Draft(
        asset=stage.asset,
        code_version=reading.spec.code_version,
        config_hash=reading.config_hash,
        inputs=reading.inputs,
        run_id=stage.run_id,
        computed_at=datetime.now(UTC),
        seconds=seconds,
        metadata={"sections": dict(reading.sections)},
        data_version=output.data_version,
    )
    return stage.warehouse.publish(
        draft, output.tables, scope=output.scope, artifacts=output.artifacts
    )
