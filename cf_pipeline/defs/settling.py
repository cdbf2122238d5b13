"""Do now what the sensors would do: read changed sources, compute what is due, until nothing is.

For scripts and tests. A daemon does the same in its own time (`automation`), and waits besides for
sources to be quiet and for blocking checks upstream; who calls this says that nobody is writing.
"""

import time
from collections.abc import Sequence

import dagster as dg

from cf_pipeline.defs.conditions import stages_in_order
from cf_pipeline.defs.running import Wanted, run_pipeline
from cf_pipeline.errors import CfPipelineError, DataError
from cf_pipeline.recompute.due import Situation, due_assets
from cf_pipeline.recompute.stage import open_warehouse
from cf_pipeline.recompute.staleness import StageSpec
from cf_pipeline.recompute.watching import Cursor, describe, look_at_sources
from cf_pipeline.storage.home import Home


def settle(home: Home, definitions: dg.Definitions) -> list[str]:
    """Compute what is due, and what is due then, and so on.

    Args:
        home: one in which a full run has ended.
        definitions: the project's.

    Returns:
        The assets whose bodies ran, in that order, as often as they did.

    Raises:
        HomeBusyError: a run holds the home.
        CfPipelineError: an asset failed, or configuration, data set or a source cannot be read.
    """
    computed: list[str] = []
    stages = stages_in_order()
    while requested := _requested(home, stages):
        outcome = run_pipeline(home, definitions, Wanted(select=requested))
        if outcome.failures:
            failed = "; ".join(f"{name}: {why}" for name, why in outcome.failures.items())
            raise CfPipelineError(f"run {outcome.run_id} did not end well: {failed}")
        computed += outcome.computed
    return computed


def _requested(home: Home, stages: Sequence[StageSpec]) -> list[str]:
    """Sources before what is due by record, so that one wave goes through the graph."""
    situation = Situation.of(home)
    warehouse = open_warehouse(home, situation.configuration)
    now = time.time()
    first = look_at_sources(situation, warehouse, stages, Cursor(), now)
    # Two looks with nothing between them are as good as quiet, whatever the clock says.
    later = now + situation.configuration.automation.settle_seconds + 1
    watched = look_at_sources(situation, warehouse, stages, first.cursor, later)
    if watched.waiting:
        raise DataError(f"sources cannot be read: {describe(watched.waiting)}")
    return watched.changed or list(due_assets(situation, stages).reasons)
