"""Per asset: fresh, stale and why, failed and why, never; and when it was computed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import dagster as dg

from cf_pipeline.defs.assets import STAGES
from cf_pipeline.defs.failures import latest_failures
from cf_pipeline.defs.resources import open_warehouse
from cf_pipeline.defs.running import asset_names, instance_of
from cf_pipeline.defs.staleness import StageSpec, read_inputs
from cf_pipeline.errors import CfPipelineError
from cf_pipeline.recipes.configuration import Choices, Configuration, resolve
from cf_pipeline.sources.dataset import Dataset, load_dataset
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse

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
    records = warehouse.records()
    with instance_of(home) as instance:
        failures = latest_failures(instance)
    statuses = []
    for name in asset_names(definitions):
        record = records.get(name)
        if record is None:
            why, computed_at = "never materialized", None
        else:
            spec, computed_at = STAGES[name], record.computed_at
            why = _why_stale(spec, dataset, configuration, warehouse)
        statuses.append(_status(name, why, failures.get(name), computed_at))
    return statuses


def _why_stale(
    spec: StageSpec, dataset: Dataset, configuration: Configuration, warehouse: Warehouse
) -> str:
    try:
        return "; ".join(read_inputs(spec, dataset, configuration, warehouse).differences)
    except CfPipelineError as error:
        return str(error)


def _status(asset: str, why: str, failure: str | None, computed_at: datetime | None) -> AssetStatus:
    # Rows that computing would give again are fresh, whatever failed in between.
    if not why:
        return AssetStatus(asset, "fresh", "", computed_at)
    if failure is not None:
        return AssetStatus(asset, "failed", failure, computed_at)
    return AssetStatus(asset, "stale" if computed_at else "missing", why, computed_at)
