"""Which assets there are, and the condition under which each is computed without anybody asking."""

import logging
import threading

import dagster as dg
from dagster import AutomationContext

from cf_pipeline.defs.metadata import beta_accepted
from cf_pipeline.defs.processes import clear_dead_runs, unfinished_runs
from cf_pipeline.errors import CfPipelineError
from cf_pipeline.recompute.due import Due, Situation, due_assets
from cf_pipeline.recompute.staleness import StageSpec
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import holder_of

STAGES: dict[str, StageSpec] = {}
"""Every asset of the pipeline by name, filled as the files of `defs` are loaded."""

_logger = logging.getLogger(__name__)


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


with beta_accepted():
    _A_CHECK_ABOVE_FAILED = dg.AutomationCondition.any_deps_match(
        dg.AutomationCondition.any_checks_match(
            dg.AutomationCondition.check_failed(), blocking_only=True
        )
    ).with_label("a blocking check above failed")
    # And not "did not pass": rows stand only if they passed, also where a kill kept the event back.

WHEN_STALE = (DueByRecord() & ~_A_CHECK_ABOVE_FAILED).with_label("recompute when stale")
"""Of every asset, so that its Automation tab says why it was or was not requested."""
