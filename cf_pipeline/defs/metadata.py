"""What Dagster's UI shows of an asset: its columns, and what a materialization says of itself."""

import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from cf_pipeline.defs.beta import beta_accepted
from cf_pipeline.defs.column_lineage import column_lineage
from cf_pipeline.defs.staleness import StageSpec
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES
from cf_pipeline.storage.warehouse import Warehouse

OWNER = "team:cf_pipeline"
FRESH_FOR = timedelta(days=8)
"""The weekly refresh and a day of grace."""


def described(spec: StageSpec, body: Callable[..., Any]) -> dict[str, Any]:
    """What an asset says of itself before it was ever computed: arguments of `dg.asset`."""
    return {
        "owners": [OWNER],
        "tags": {"cf_pipeline/stage": spec.group},
        "metadata": {
            **_table_metadata(spec.asset),
            "reads_configuration": ", ".join(spec.reads) or "none",
            "dagster/code_references": _source_of(body),
        },
        "freshness_policy": dg.FreshnessPolicy.time_window(
            fail_window=2 * FRESH_FOR, warn_window=FRESH_FOR
        ),
    }


def _table_metadata(asset: str) -> dict[str, Any]:
    """Column schema with units, and the names of the tables."""
    table = TABLES[asset]
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
        "dagster/relation_identifier": f"main.{asset}",
        "companion_tables": ", ".join(ASSET_TABLES[asset][1:]) or "none",
    }


def _source_of(body: Callable[..., Any]) -> dg.CodeReferencesMetadataValue:
    """Where the body stands, for the UI's link to the code."""
    with beta_accepted():
        reference = dg.LocalFileCodeReference(
            file_path=inspect.getsourcefile(body) or "",
            line_number=inspect.getsourcelines(body)[1],
            label=body.__name__,
        )
        return dg.CodeReferencesMetadataValue(code_references=[reference])


def computed_metadata(
    warehouse: Warehouse, spec: StageSpec, record: AssetRecord, shown: Mapping[str, Any]
) -> dict[str, Any]:
    """What a body that ran has to show, beside row count, timing, version and lineage."""
    lineage = {"dagster/column_lineage": column_lineage(spec.asset, spec.parents)}
    return {**_facts(warehouse, record), **lineage, "unchanged": False, **shown}


def unchanged_metadata(
    warehouse: Warehouse, record: AssetRecord, context: dg.AssetExecutionContext
) -> dict[str, Any]:
    """The metadata of the materialization that computed it, so that pictures stay in sight."""
    event = context.instance.get_latest_materialization_event(context.asset_key)
    shown: Mapping[str, Any] = {}
    if event is not None and event.asset_materialization is not None:
        shown = event.asset_materialization.metadata
    # A run that died between its commit and its event leaves an older materialization as latest.
    version = shown.get("data_version")
    if version is None or version.value != record.data_version:
        shown = {}
    return {
        **shown,
        **_facts(warehouse, record),
        "unchanged": True,
        "computed_at": record.computed_at.isoformat(timespec="seconds"),
        "computed_in_run": record.run_id,
    }


def _facts(warehouse: Warehouse, record: AssetRecord) -> dict[str, Any]:
    with warehouse.read() as con:
        (rows,) = con.execute(f"select count(*) from {record.asset}").fetchall()[0]
    return {
        "dagster/row_count": int(rows),
        "seconds": round(record.seconds, 2),
        "data_version": record.data_version,
    }
