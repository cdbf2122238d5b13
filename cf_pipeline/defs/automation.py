"""When assets are computed without anybody asking: a condition, two sensors, a weekly schedule.

`recompute_when_stale` asks every few seconds which assets are due (`due`), `watch_sources` which
files changed (`watching`), and `weekly_refresh` brings everything up to date, held assets
included. All three ship running, and none of them starts the first full run of an empty home. One
run at a time: while one is queued or going on, nothing is requested.
"""

import logging
import threading
from collections.abc import Sequence

import dagster as dg
from dagster import AutomationContext

from cf_pipeline.defs.assets import STAGES, WARM_TAG
from cf_pipeline.defs.beta import beta_accepted
from cf_pipeline.defs.due import COMPLETE, Due, Situation, check_held, due_assets
from cf_pipeline.defs.jobs import full_pipeline
from cf_pipeline.defs.processes import clear_dead_runs, unfinished_runs
from cf_pipeline.defs.resources import open_warehouse
from cf_pipeline.defs.staleness import StageSpec
from cf_pipeline.defs.watching import Cursor, describe, look_at_sources
from cf_pipeline.errors import CfPipelineError, ConfigError
from cf_pipeline.recipes.config import AutomationConfig
from cf_pipeline.recipes.configuration import Choices, resolve
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import holder_of

STARTED_BY_TAG = "cf_pipeline/started_by"

_logger = logging.getLogger(__name__)


def automation_config() -> AutomationConfig:
    """What this process's home says of automation when the code location is loaded.

    Raises:
        ConfigError: the home's configuration cannot be read.
    """
    return resolve(Choices.read(Home.locate().config_path)).automation


_CONFIG = automation_config()


class DueByRecord(dg.AutomationCondition[dg.AssetKey]):
    """True for an asset that is due by what is recorded of it, of its parents and its settings.

    Level-triggered: no cursor is read, and provenance decides, not events.
    """

    @property
    def name(self) -> str:
        """Shown in the UI's evaluations."""
        return "due_by_record"

    def evaluate(self, context: AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Look the asset up in this tick's judgement of all of them."""
        due = _judgement.of_tick(context)
        name = context.key.to_user_string()
        if name in due.reasons:
            context.log.info(f"{name} is due: {due.reasons[name]}")
            return dg.AutomationResult(context, context.candidate_subset)
        return dg.AutomationResult(context, context.get_empty_subset())


class _Judgement:
    """One judgement per tick, though every asset's condition asks for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made_for: object = None
        self._due = Due()

    def of_tick(self, context: AutomationContext[dg.AssetKey]) -> Due:
        view = context.asset_graph_view
        with self._lock:
            if self._made_for is not view:
                self._due = judge(view.instance)
                self._made_for = view
            return self._due


_judgement = _Judgement()


def judge(instance: dg.DagsterInstance) -> Due:
    """Which assets are due in the home of this process; none while a run is queued or going on.

    What cannot be read (a configuration that is being edited) makes nothing due and is a warning.
    """
    home = Home.locate()
    clear_dead_runs(instance)
    if not home.warehouse_path.exists() or is_busy(home, instance):
        return Due()
    try:
        return due_assets(Situation.of(home), stages_in_order())
    except CfPipelineError as error:
        _logger.warning("nothing is computed by itself until this is mended: %s", error)
        return Due()


def is_busy(home: Home, instance: dg.DagsterInstance) -> str | None:
    """The run that is queued or going on in a home, in words; None where there is none."""
    runs = unfinished_runs(instance)
    if runs:
        return f"run {runs[0].run_id} is {runs[0].status.value.lower()}"
    holder = holder_of(home)
    return f"the home is held by {holder}" if holder else None


def stages_in_order() -> list[StageSpec]:
    """Every asset, parents before children."""
    ordered: dict[str, StageSpec] = {}

    def add(spec: StageSpec) -> None:
        for parent in spec.parents:
            add(STAGES[parent])
        ordered.setdefault(spec.asset, spec)

    for spec in STAGES.values():
        add(spec)
    return list(ordered.values())


_A_CHECK_ABOVE_FAILED = dg.AutomationCondition.any_deps_match(
    dg.AutomationCondition.any_checks_match(
        dg.AutomationCondition.check_failed(), blocking_only=True
    )
).with_label("a blocking check above failed")
"""And not "did not pass": rows stand only if they passed, also where a kill kept the event back."""

with beta_accepted():  # custom conditions need the user code server
    recompute_when_stale = dg.AutomationConditionSensorDefinition(
        "recompute_when_stale",
        target=dg.AssetSelection.all(),
        description="Computes what is due because of configuration, code or upstream changes.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_CONFIG.interval_seconds,
        use_user_code_server=True,
        run_tags={STARTED_BY_TAG: "recompute_when_stale"},
        default_condition=(DueByRecord() & ~_A_CHECK_ABOVE_FAILED).with_label(
            "recompute when stale"
        ),
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
        try:
            situation = Situation.of(Home.locate())
        except CfPipelineError as error:
            return dg.SkipReason(str(error))
        if COMPLETE not in situation.records:
            return dg.SkipReason("the home has had no full run yet: start the first one yourself")
        warm = {WARM_TAG: "true"} if situation.configuration.automation.warm else {}
        return dg.RunRequest(tags={STARTED_BY_TAG: "weekly_refresh", **warm})

    return refresh


defs = dg.Definitions(
    sensors=[recompute_when_stale, watch_sources], schedules=[weekly_schedule(_CONFIG)]
)
