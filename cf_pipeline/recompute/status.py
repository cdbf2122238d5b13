"""Per asset: fresh, stale and why, failed and why, held, never; and when it was computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cf_pipeline.errors import CfPipelineError
from cf_pipeline.recompute.due import Situation
from cf_pipeline.recompute.stage import open_warehouse
from cf_pipeline.recompute.staleness import StageSpec, read_inputs
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.lock import holder_of
from cf_pipeline.storage.warehouse import Warehouse

State = Literal["fresh", "stale", "failed", "missing", "held"]


@dataclass(frozen=True)
class AssetStatus:
    """Where one asset stands."""

    asset: str
    state: State
    why: str
    computed_at: datetime | None


def pipeline_status(home: Home, stages: Sequence[StageSpec]) -> list[AssetStatus]:
    """The status of every asset, in the order given; nothing is written, no home is made.

    An asset below a stale one is judged by what is there now: it may turn out unchanged.

    Raises:
        ConfigError: the configuration or the data set cannot be read.
    """
    situation = Situation.of(home)
    failures = {name: attempt.failure for name, attempt in situation.attempts.items()}
    if holder_of(home) is not None:  # what is begun and not ended is going on, not killed
        failures |= {n: None for n, a in situation.attempts.items() if a.outcome == "running"}
    warehouse = open_warehouse(home, situation.configuration)
    return [_status(situation, spec, failures.get(spec.asset), warehouse) for spec in stages]


def _status(
    situation: Situation, spec: StageSpec, failure: str | None, warehouse: Warehouse
) -> AssetStatus:
    record = situation.records.get(spec.asset)
    if record is None:
        state: State = "failed" if failure else "missing"
        return AssetStatus(spec.asset, state, failure or "never materialized", None)
    why = _why_stale(situation, spec, warehouse)
    # Rows that computing would give again are fresh, whatever failed in between.
    state = "stale" if why else "fresh"
    if why and failure:
        state, why = "failed", failure
    elif why and spec.asset in situation.configuration.automation.hold:
        state = "held"
    return AssetStatus(spec.asset, state, why, record.computed_at)


def _why_stale(situation: Situation, spec: StageSpec, warehouse: Warehouse) -> str:
    now = situation
    try:
        reading = read_inputs(spec, now.dataset, now.configuration, warehouse, now.records)
    except CfPipelineError as error:
        return str(error)
    return "; ".join(reading.differences)
