"""How an asset of this pipeline is made: compare, compute, check, publish, describe.

`stage_asset` wraps a body into a Dagster asset. Before the body runs, what it would read (parents'
data versions, its sections of the configuration, outside files, its source) is compared with what
was recorded beside the table it wrote last; when nothing differs the body does not run and the
materialization says `unchanged`. What the body returns is written with its record in one
transaction, unless a blocking check turns it away, and the data version comes from the rows.
"""

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from cf_pipeline.defs.asset_checks import Check, Checked, Verdicts, scope_of
from cf_pipeline.defs.attempts import attempted, clear_failure, failing_is_an_attempt
from cf_pipeline.defs.fingerprints import SourceFiles
from cf_pipeline.defs.metadata import computed_metadata, described, unchanged_metadata
from cf_pipeline.defs.resources import HomeResource
from cf_pipeline.defs.stage import Body, Output, Stage
from cf_pipeline.defs.staleness import STARTED_FROM, Reading, StageSpec, read_inputs
from cf_pipeline.defs.versions import code_version
from cf_pipeline.errors import CfPipelineError
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.records import AssetRecord, Draft

CONFIG_HASH_TAG = "cf_pipeline/config_hash"
WARM_TAG = "cf_pipeline/warm"
"""On runs of the schedule where `automation.warm` is set."""

STAGES: dict[str, StageSpec] = {}
"""Every asset of the pipeline by name, filled as the files of `defs` are loaded."""

Event = dg.MaterializeResult[Any] | dg.AssetCheckResult


class RunConfig(dg.Config):
    """The launchpad offers this and nothing else: everything else has one owner, config.toml."""

    force: bool = False


def stage_asset(
    *,
    group: str,
    parents: Sequence[str] = (),
    reads: Sequence[str] = (),
    outside: SourceFiles | None = None,
    kinds: Sequence[str] = (),
    checks: Sequence[Check] = (),
) -> Callable[[Body], dg.AssetsDefinition]:
    """Make a Dagster asset of a body.

    Args:
        group: the group of the graph.
        parents: assets whose tables the body reads.
        reads: sections (`pruning`, `dataset.truth`) or fields (`vision.init`) that it depends on.
        outside: files that it reads.
        kinds: shown on the asset beside `duckdb`.
        checks: what its rows must pass.
    """

    def wrap(body: Body) -> dg.AssetsDefinition:
        name = body.__name__
        spec = StageSpec(name, group, tuple(parents), tuple(reads), outside, code_version(body))
        STAGES[name] = spec
        return _dagster_asset(spec, body, {"duckdb", *kinds}, checks)

    return wrap


def _dagster_asset(
    spec: StageSpec, body: Body, kinds: set[str], checks: Sequence[Check]
) -> dg.AssetsDefinition:
    def materialize(
        context: dg.AssetExecutionContext, config: RunConfig, home: HomeResource
    ) -> Iterator[Event]:
        verdicts = Verdicts(checks)
        try:
            result = _materialize(context, config.force, home, _Work(spec, body, verdicts))
        except CfPipelineError as error:
            yield from verdicts.results(spec.asset, context.log)
            raise dg.Failure(description=str(error), allow_retries=False) from error
        yield from verdicts.results(spec.asset, context.log)
        yield result

    decorate = dg.asset(
        name=spec.asset,
        group_name=spec.group,
        deps=list(spec.parents),
        code_version=spec.code_version,
        check_specs=[check.spec(spec.asset) for check in checks],
        description=inspect.getdoc(body),
        kinds=kinds,
        **described(spec, body),
    )
    asset: dg.AssetsDefinition = decorate(materialize)
    return asset


@dataclass(frozen=True)
class _Work:
    """An asset in the making."""

    spec: StageSpec
    body: Body
    verdicts: Verdicts


def _materialize(
    context: dg.AssetExecutionContext, force: bool, home: HomeResource, work: _Work
) -> dg.MaterializeResult[Any]:
    started = time.monotonic()
    dataset = load_dataset(home.configuration.dataset)
    reading = read_inputs(work.spec, dataset, home.configuration, home.warehouse)
    record = None if force else reading.current
    if record is not None:
        with failing_is_an_attempt(home.warehouse, reading, context.run.run_id):
            _look_at_what_is_there(home, reading, work.verdicts)
        clear_failure(home.warehouse, reading, context.run.run_id)
        metadata = unchanged_metadata(home.warehouse, record, context)
        context.log.info("unchanged")
    else:
        with (
            attempted(home.warehouse, reading, context.run.run_id),
            home.scratch() as scratch,
        ):
            stage = _stage(context, home, reading, Path(scratch), force)
            output = work.body(stage)
            record = _publish(stage, reading, output, work.verdicts, time.monotonic() - started)
        metadata = computed_metadata(home.warehouse, work.spec, record, output.metadata)
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
        warm=context.run.tags.get(WARM_TAG) == "true",
        log=context.log,
    )


def _publish(
    stage: Stage, reading: Reading, output: Output, verdicts: Verdicts, seconds: float
) -> AssetRecord:
    """Rows and record in one transaction, unless a blocking check turns the rows away."""
    started_from = {STARTED_FROM: output.started_from} if output.started_from else {}
    draft = Draft(
        asset=stage.asset,
        code_version=reading.spec.code_version,
        config_hash=reading.config_hash,
        inputs={**reading.inputs, **started_from},
        run_id=stage.run_id,
        computed_at=datetime.now(UTC),
        seconds=seconds,
        metadata={"sections": dict(reading.sections), **_provenance(stage, reading, output)},
        data_version=output.data_version,
    )

    def verify(connection: duckdb.DuckDBPyConnection) -> None:
        verdicts.look(
            Checked(stage.asset, connection, output.scope, stage.configuration, stage.dataset)
        )

    return stage.warehouse.publish(
        draft,
        output.tables,
        scope=output.scope,
        artifacts=output.artifacts,
        others=output.others,
        verify=verify,
    )


def _provenance(stage: Stage, reading: Reading, output: Output) -> dict[str, Any]:
    """What lineage tells of rows beside versions: configuration as values, files by hash."""
    spec = reading.spec
    facts: dict[str, Any] = {
        "configuration": spec.section_values(stage.configuration, stage.dataset),
        "dataset": str(stage.configuration.dataset),
        "recipe": stage.configuration.recipe,
        "budget": stage.configuration.budget,
        "scope": output.scope,
    }
    if spec.outside is not None:
        facts["files"] = spec.outside.listing(stage.dataset, stage.configuration, stage.warehouse)
    return facts


def _look_at_what_is_there(home: HomeResource, reading: Reading, verdicts: Verdicts) -> None:
    """Checks on rows that did not change, so that what Dagster shows is of today."""
    asset = reading.spec.asset
    model = home.warehouse.record("trained_cnn")
    scope = scope_of(asset, model.data_version if model else None)
    with home.warehouse.read() as connection:
        verdicts.look(Checked(asset, connection, scope, home.configuration, reading.dataset))
