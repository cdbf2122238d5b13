"""How an asset of this pipeline is made: compare, compute, publish, describe.

`stage_asset` wraps a body into a Dagster asset. Before the body runs, what it would read (parents'
data versions, its sections of the configuration, outside files, its source) is compared with what
was recorded beside the table it wrote last; when nothing differs the body does not run and the
materialization says `unchanged`. What the body returns is written with its record in one
transaction, and the data version comes from the rows.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from cf_pipeline.defs.progress import StageProgress
from cf_pipeline.defs.resources import HomeResource
from cf_pipeline.defs.versions import code_version
from cf_pipeline.errors import CfPipelineError, DataError
from cf_pipeline.recipes.configuration import Configuration, configuration_hash
from cf_pipeline.sources.dataset import Dataset, load_dataset
from cf_pipeline.storage.artifacts import Artifact, Artifacts
from cf_pipeline.storage.records import AssetRecord, Draft
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES
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
        record = self.warehouse.record(asset)
        if record is None:
            raise _not_materialized(asset, self.asset)
        return record.data_version

    def progress(self, what: str) -> StageProgress:
        """A callback that writes lines with rate and time left, and a bar on a terminal."""
        return StageProgress(self.log, self.asset, what)


Body = Callable[[Stage], Output]
Outside = Callable[[Dataset, Configuration, Warehouse], str]


@dataclass(frozen=True)
class StageSpec:
    """What an asset reads: its parents, its sections, and files outside the warehouse."""

    asset: str
    group: str
    parents: tuple[str, ...]
    reads: tuple[str, ...]
    outside: Outside | None
    code_version: str

    def section_hashes(self, configuration: Configuration, dataset: Dataset) -> dict[str, str]:
        """Hash of each section or field that the asset declares."""
        described = dataset.sections()
        return {
            key: configuration_hash({
                key: described[key] if key in described else configuration.value(key)
            })
            for key in self.reads
        }

    def inputs(
        self, dataset: Dataset, configuration: Configuration, warehouse: Warehouse
    ) -> dict[str, str]:
        """Data version of every parent, and the fingerprint of outside files.

        Raises:
            DataError: a parent was never materialized.
        """
        versions = {}
        for parent in self.parents:
            record = warehouse.record(parent)
            if record is None:
                raise _not_materialized(parent, self.asset)
            versions[parent] = record.data_version
        if self.outside is not None:
            versions["files"] = self.outside(dataset, configuration, warehouse)
        return versions


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

        @dg.asset(
            name=name,
            group_name=group,
            deps=list(parents),
            code_version=spec.code_version,
            description=body.__doc__,
            kinds={"duckdb", *kinds},
            owners=[OWNER],
            metadata=_definition_metadata(spec),
        )
        def materialize(
            context: dg.AssetExecutionContext, config: RunConfig, home: HomeResource
        ) -> dg.MaterializeResult[Any]:
            try:
                return _materialize(context, config.force, home, spec, body)
            except CfPipelineError as error:
                raise dg.Failure(description=str(error), allow_retries=False) from error

        return materialize

    return wrap


def _materialize(
    context: dg.AssetExecutionContext,
    force: bool,
    home: HomeResource,
    spec: StageSpec,
    body: Body,
) -> dg.MaterializeResult[Any]:
    started = time.monotonic()
    configuration, warehouse = home.configuration, home.warehouse
    dataset = load_dataset(configuration.dataset)
    sections = spec.section_hashes(configuration, dataset)
    inputs = spec.inputs(dataset, configuration, warehouse)
    previous = warehouse.record(spec.asset)
    tags = {CONFIG_HASH_TAG: configuration_hash(sections)}
    if not force and previous is not None and not differences(spec, previous, inputs, sections):
        context.log.info("unchanged")
        return dg.MaterializeResult(
            metadata=_unchanged_metadata(context, previous),
            data_version=dg.DataVersion(previous.data_version),
            tags=tags,
        )
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=home.home.path) as scratch:
        stage = Stage(
            asset=spec.asset,
            run_id=context.run.run_id,
            configuration=configuration,
            dataset=dataset,
            warehouse=warehouse,
            artifacts=home.artifacts,
            scratch=Path(scratch),
            wandb_folder=home.home.wandb_path,
            previous=previous,
            reusable=previous is not None and not force and _same_maker(spec, previous, sections),
            log=context.log,
        )
        output = body(stage)
        draft = Draft(
            asset=spec.asset,
            code_version=spec.code_version,
            config_hash=tags[CONFIG_HASH_TAG],
            inputs=inputs,
            run_id=context.run.run_id,
            computed_at=datetime.now(UTC),
            seconds=time.monotonic() - started,
            metadata={"sections": sections},
            data_version=output.data_version,
        )
        record = warehouse.publish(
            draft, output.tables, scope=output.scope, artifacts=output.artifacts
        )
    context.log.info(f"done in {time.monotonic() - started:.1f} s")
    return dg.MaterializeResult(
        metadata=_result_metadata(warehouse, record, output),
        data_version=dg.DataVersion(record.data_version),
        tags=tags,
    )


def differences(
    spec: StageSpec,
    record: AssetRecord,
    inputs: Mapping[str, str],
    sections: Mapping[str, str],
) -> list[str]:
    """Why an asset is stale, in words; empty when it is fresh."""
    reasons = []
    if record.code_version != spec.code_version:
        reasons.append("code changed")
    before = record.metadata.get("sections", {})
    changed = [key for key in sections if before.get(key) != sections[key]]
    if changed or before.keys() != sections.keys():
        reasons.append(f"configuration changed: {', '.join(changed) or 'other sections are read'}")
    moved = [name for name in inputs if record.inputs.get(name) != inputs[name]]
    if moved or record.inputs.keys() != inputs.keys():
        reasons.append(f"changed upstream: {', '.join(moved) or 'other parents'}")
    return reasons


def _same_maker(spec: StageSpec, record: AssetRecord, sections: Mapping[str, str]) -> bool:
    return record.code_version == spec.code_version and record.metadata.get("sections", {}) == dict(
        sections
    )


def _not_materialized(asset: str, needed_by: str) -> DataError:
    return DataError(
        f"{needed_by} reads {asset}, which is not there. Materialize {asset} first: "
        f"cf-pipeline run --select {asset}, or run everything."
    )


def _definition_metadata(spec: StageSpec) -> dict[str, Any]:
    table = TABLES[spec.asset]
    columns = [
        dg.TableColumn(
            column.name,
            column.type,
            description=column.description,
            constraints=dg.TableColumnConstraints(
                nullable=column.nullable, unique=table.key == (column.name,)
            ),
        )
        for column in table.columns
    ]
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/relation_identifier": f"main.{spec.asset}",
        "reads_configuration": ", ".join(spec.reads) or "none",
        "companion_tables": ", ".join(ASSET_TABLES[spec.asset][1:]) or "none",
    }


def _result_metadata(warehouse: Warehouse, record: AssetRecord, output: Output) -> dict[str, Any]:
    return {
        "dagster/row_count": _row_count(warehouse, record.asset),
        "seconds": round(record.seconds, 2),
        "unchanged": False,
        "data_version": record.data_version,
        **output.metadata,
    }


def _row_count(warehouse: Warehouse, table: str) -> int:
    with warehouse.read() as con:
        (rows,) = con.execute(f"select count(*) from {table}").fetchall()[0]
    return int(rows)


def _unchanged_metadata(context: dg.AssetExecutionContext, previous: AssetRecord) -> dict[str, Any]:
    """The metadata of the materialization that computed it, so that pictures stay in sight."""
    event = context.instance.get_latest_materialization_event(context.asset_key)
    kept: dict[str, Any] = {}
    if event is not None and event.asset_materialization is not None:
        kept = dict(event.asset_materialization.metadata)
    return {
        **kept,
        "unchanged": True,
        "data_version": previous.data_version,
        "computed_at": previous.computed_at.isoformat(timespec="seconds"),
        "computed_in_run": previous.run_id,
    }
