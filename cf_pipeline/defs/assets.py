"""How a body becomes a Dagster asset: `recompute.making` decides and does, Dagster is told.

`stage_asset` declares what a stage reads and wraps it: the lock of the home is held by the run's
resource, errors of the project become failures with their own words, and what was made, found
again or left as it was becomes a materialization with its data version, pictures and checks.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from cf_pipeline.defs.conditions import STAGES, WHEN_STALE
from cf_pipeline.defs.metadata import described, metadata_of
from cf_pipeline.defs.resources import (
    REFRESH_TAG,
    WARM_TAG,
    HomeResource,
    configuration_at_load,
)
from cf_pipeline.errors import CfPipelineError
from cf_pipeline.recompute.fingerprints import SourceFiles
from cf_pipeline.recompute.making import Work, make
from cf_pipeline.recompute.stage import Body, RunFacts
from cf_pipeline.recompute.staleness import StageSpec
from cf_pipeline.recompute.versions import symbol_of
from cf_pipeline.verdict import Check, Verdicts

CONFIG_HASH_TAG = "cf_pipeline/config_hash"

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
    **shown: Any,
) -> Callable[[Body], dg.AssetsDefinition]:
    """Make a Dagster asset of a body.

    Args:
        group: the group of the graph.
        parents: assets whose tables the body reads.
        reads: sections (`pruning`, `dataset.truth`) or fields (`vision.image_size`) whose values
            it depends on.
        outside: files that it reads.
        shown: `runs`, fields whose method it runs whatever that method's settings; `checks`, what
            its rows must pass; `kinds`, shown beside `duckdb`; `needs_covers`, whether it is
            skipped where a data set has none.
    """

    def wrap(body: Body) -> dg.AssetsDefinition:
        name, runs = body.__name__, tuple(shown.get("runs", ()))
        spec = StageSpec(name, group, tuple(parents), tuple(reads), outside, symbol_of(body), runs)
        STAGES[name] = spec
        work = Work(spec, body, shown.get("checks", ()), shown.get("needs_covers", False))
        return _dagster_asset(work, shown.get("kinds", ()))

    return wrap


def _dagster_asset(work: Work, kinds: Sequence[str]) -> dg.AssetsDefinition:
    spec = work.spec

    def materialize(
        context: dg.AssetExecutionContext, config: RunConfig, home: HomeResource
    ) -> Iterator[Event]:
        verdicts = Verdicts(work.checks)
        try:
            result = _materialized(context, config.force, home, work, verdicts)
        except CfPipelineError as error:
            yield from _check_results(spec.asset, verdicts, context.log)
            raise dg.Failure(description=str(error), allow_retries=False) from error
        yield from _check_results(spec.asset, verdicts, context.log)
        yield result

    decorate = dg.asset(
        name=spec.asset,
        group_name=spec.group,
        deps=list(spec.parents),
        code_version=spec.code_version(configuration_at_load()),
        check_specs=[_check_spec(spec.asset, check) for check in work.checks],
        description=inspect.getdoc(work.body),
        kinds={"duckdb", *kinds},
        automation_condition=WHEN_STALE,
        **described(spec, work.body),
    )
    asset: dg.AssetsDefinition = decorate(materialize)
    return asset


def _materialized(
    context: dg.AssetExecutionContext,
    force: bool,
    home: HomeResource,
    work: Work,
    verdicts: Verdicts,
) -> dg.MaterializeResult[Any]:
    tags = context.run.tags
    run = RunFacts(
        context.run.run_id,
        context.log,
        force=force,
        refresh=tags.get(REFRESH_TAG) == "true",
        warm=tags.get(WARM_TAG) == "true",
    )
    made = make(work, home.opened, run, verdicts)
    context.log.info(made.how if made.how != "computed" else f"done in {made.record.seconds:.1f} s")
    return dg.MaterializeResult(
        metadata=metadata_of(made, work.spec, home.opened.warehouse, context),
        data_version=dg.DataVersion(made.record.data_version),
        tags={CONFIG_HASH_TAG: made.config_hash},
    )


def _check_spec(asset: str, check: Check) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        check.name, asset=asset, description=check.description, blocking=check.blocking
    )


def _check_results(asset: str, verdicts: Verdicts, log: Any) -> Iterator[dg.AssetCheckResult]:
    """What the checks said, for Dagster; a warning is told in the log, too."""
    for check, verdict in verdicts.said:
        if not verdict.passed and not check.blocking:
            log.warning(f"{check.name}: {verdict.message}")
        severity = dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
        facts: Mapping[str, Any] = verdict.facts
        yield dg.AssetCheckResult(
            passed=verdict.passed,
            asset_key=asset,
            check_name=check.name,
            description=verdict.message,
            severity=severity,
            metadata=dict(facts),
        )
