"""What Dagster's UI shows of an asset: its columns, and what a materialization says of itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES
from cf_pipeline.storage.warehouse import Warehouse


def definition_metadata(asset: str, reads: Sequence[str]) -> dict[str, Any]:
    """Column schema with units, the table's name, and the configuration that the asset reads."""
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
        "reads_configuration": ", ".join(reads) or "none",
        "companion_tables": ", ".join(ASSET_TABLES[asset][1:]) or "none",
    }


def computed_metadata(
    warehouse: Warehouse, record: AssetRecord, shown: Mapping[str, Any]
) -> dict[str, Any]:
    """What a body that ran has to show, beside row count, timing and version."""
    return {**_facts(warehouse, record), "unchanged": False, **shown}


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
