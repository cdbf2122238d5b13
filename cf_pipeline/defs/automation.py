"""When assets are computed without anybody asking: a condition, two sensors, a weekly schedule.

`recompute_when_stale` asks every few seconds which assets are due (`due`), `watch_sources` which
files changed (`watching`), and `weekly_refresh` brings everything up to date, held assets
included. All three ship running, and none of them starts the first full run of an empty home. One
run at a time: while one is queued or going on, nothing is requested.
"""

import contextlib
import logging
from collections.abc import Sequence

import dagster as dg

from cf_pipeline.configuration.config import AutomationConfig
from cf_pipeline.defs.conditions import is_busy, stages_in_order
from cf_pipeline.defs.jobs import full_pipeline
from cf_pipeline.defs.metadata import beta_accepted
from cf_pipeline.defs.processes import clear_dead_runs
from cf_pipeline.defs.resources import WARM_TAG, configuration_at_load
from cf_pipeline.errors import CfPipelineError, ConfigError, HomeBusyError
from cf_pipeline.models.catalogue import collect_garbage
from cf_pipeline.recompute.due import COMPLETE, Situation, check_held
from cf_pipeline.recompute.stage import open_warehouse
from cf_pipeline.recompute.watching import Cursor, describe, look_at_sources
from cf_pipeline.storage.home import Home

STARTED_BY_TAG = "cf_pipeline/started_by"
_CONFIG = configuration_at_load().automation
_logger = logging.getLogger(__name__)

with beta_accepted():  # custom conditions need the user code server
    recompute_when_stale = dg.AutomationConditionSensorDefinition(
        "recompute_when_stale",
        target=dg.AssetSelection.all(),
        description="Computes what is due because of configuration, code or upstream changes.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_CONFIG.interval_seconds,
        use_user_code_server=True,
        run_tags={STARTED_BY_TAG: "recompute_when_stale"},
    )


@dg.sensor(
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=_CONFIG.interval_seconds,
)
def watch_sources(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Reads sources again that changed on disk, once they have been quiet for settle_seconds."""
    home = Home.locate()
    clear_dead_runs(context.instance)
    if not home.warehouse_path.exists():
        return dg.SkipReason("the home is empty: start the first run yourself")
    busy = is_busy(home, context.instance)
    if busy:
        return dg.SkipReason(f"{busy}; sources are looked at when it has ended")
    try:
        situation = Situation.of(home)
    except CfPipelineError as error:
        return dg.SkipReason(f"nothing is read until this is mended: {error}")
    cursor = Cursor.model_validate_json(context.cursor) if context.cursor else Cursor()
    warehouse = open_warehouse(home, situation.configuration)
    watched = look_at_sources(situation, warehouse, stages_in_order(), cursor)
    requests = []
    if watched.changed:
        keys = [dg.AssetKey(name) for name in watched.changed]
        requests = [dg.RunRequest(asset_selection=keys, tags={STARTED_BY_TAG: "watch_sources"})]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else describe(watched.waiting) or "no source changed",
        cursor=watched.cursor.model_dump_json(),
    )


def check_automation(config: AutomationConfig, assets: Sequence[str]) -> None:
    """Refuse a configuration that automation could not work with.

    Raises:
        ConfigError: `hold` names no asset, or Dagster does not take the cron expression.
    """
    check_held(set(config.hold), assets)
    weekly_schedule(config)


def weekly_schedule(config: AutomationConfig) -> dg.ScheduleDefinition:
    """The schedule that a configuration asks for.

    Raises:
        ConfigError: Dagster does not take the cron expression.
    """
    try:
        return _weekly_schedule(config)
    except dg.DagsterInvalidDefinitionError as error:
        raise ConfigError(
            f"automation.cron is {config.cron!r}, which Dagster does not take: {error}. Expected "
            "five cron fields, as 0 3 * * 1; to take it back: cf-pipeline config --unset "
            "automation.cron."
        ) from error


def _weekly_schedule(config: AutomationConfig) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=full_pipeline,
        name="weekly_refresh",
        cron_schedule=config.cron,
        execution_timezone=config.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Refreshes what is stale, held assets included; what is fresh is not computed.",
    )
    def refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        home = Home.locate()
        try:
            situation = Situation.of(home)
        except CfPipelineError as error:
            return dg.SkipReason(str(error))
        if COMPLETE not in situation.records:
            return dg.SkipReason("the home has had no full run yet: start the first one yourself")
        with contextlib.suppress(HomeBusyError):  # a run that goes on is waited for; next week then
            gone = collect_garbage(home, dry_run=False)
            context.log.info(f"{len(gone.versions)} old models removed, {gone.n_bytes:,} bytes")
        warm = {WARM_TAG: "true"} if situation.configuration.automation.warm else {}
        return dg.RunRequest(tags={STARTED_BY_TAG: "weekly_refresh", **warm})

    return refresh


def _schedule_at_load() -> dg.ScheduleDefinition:
    """The schedule that the home asks for; the default one where Dagster does not take it.

    The code location has to load for somebody to see what is wrong.
    """
    try:
        return weekly_schedule(_CONFIG)
    except ConfigError as error:
        _logger.warning("until this is mended, the schedule is the default: %s", error)
        return weekly_schedule(AutomationConfig())


defs = dg.Definitions(
    sensors=[recompute_when_stale, watch_sources], schedules=[_schedule_at_load()]
)
