"""Per asset: fresh, stale and why, failed, never; and when it was computed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import dagster as dg

from cf_pipeline.defs.resources import open_warehouse
from cf_pipeline.defs.running import asset_names, instance_of
from cf_pipeline.defs.stage import STAGES, differences
from cf_pipeline.errors import CfPipelineError
from cf_pipeline.recipes.configuration import Choices, resolve
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.home import Home

State = Literal["fresh", "stale", "failed", "missing"]


@dataclass(frozen=True)
class AssetStatus:
    """Where one asset stands."""

    asset: str
    state: State
    why: str
    computed_at: datetime | None


def pipeline_status(home: Home, definitions: dg.Definitions) -> list[AssetStatus]:
    """The status of every asset, in the order of the graph.

    An asset below a stale one is judged by what is there now: it may turn out unchanged.

    Raises:
        ConfigError: the configuration or the data set cannot be read.
    """
    configuration = resolve(Choices.read(home.config_path))
    dataset = load_dataset(configuration.dataset)
    warehouse = open_warehouse(home, configuration)
    statuses = []
    with instance_of(home) as instance:
        for name in asset_names(definitions):
            spec, record = STAGES[name], warehouse.record(name)
            computed_at = record.computed_at if record else None
            failure = _failure_after(instance, name, computed_at)
            if failure is not None:
                statuses.append(AssetStatus(name, "failed", failure, computed_at))
                continue
            if record is None:
                statuses.append(AssetStatus(name, "missing", "never materialized", None))
                continue
            try:
                inputs = spec.inputs(dataset, configuration, warehouse)
            except CfPipelineError as error:
                statuses.append(AssetStatus(name, "stale", str(error), computed_at))
                continue
            why = differences(spec, record, inputs, spec.section_hashes(configuration, dataset))
            state: State = "stale" if why else "fresh"
            statuses.append(AssetStatus(name, state, "; ".join(why), computed_at))
    return statuses


def _failure_after(
    instance: dg.DagsterInstance, asset: str, computed_at: datetime | None
) -> str | None:
    """The run in which the asset failed since it was computed last, if it did."""
    key = dg.AssetKey(asset)
    failed = instance.fetch_failed_materializations(key, limit=1).records
    if not failed:
        return None
    latest = instance.get_latest_materialization_event(key)
    if latest is not None and latest.timestamp > failed[0].timestamp:
        return None
    at = datetime.fromtimestamp(failed[0].timestamp, UTC).isoformat(timespec="seconds")
    return f"failed at {at} in run {failed[0].run_id}"
