"""What Dagster's UI shows of an asset: its columns, and what a materialization says of itself."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import dagster as dg

from cf_pipeline.recompute.making import Made
from cf_pipeline.recompute.staleness import StageSpec
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES
from cf_pipeline.storage.warehouse import Warehouse

OWNER = "team:cf_pipeline"
FRESH_FOR = timedelta(days=8)
"""The weekly refresh and a day of grace."""
_LOOKED_BACK = 50
"""Materializations among which the pictures of rows that came back are looked for."""


@contextmanager
def beta_accepted() -> Iterator[None]:
    """Features that are beta and used on purpose, without a warning on every start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield


def described(spec: StageSpec, body: Callable[..., Any]) -> dict[str, Any]:
    """What an asset says of itself before it was ever computed: arguments of `dg.asset`."""
    return {
        "owners": [OWNER],
        "tags": {"cf_pipeline/group": spec.group},
        "metadata": {
            **_table_metadata(spec.asset),
            "reads_configuration": ", ".join((*spec.reads, *spec.runs)) or "none",
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


def metadata_of(
    made: Made, spec: StageSpec, warehouse: Warehouse, context: dg.AssetExecutionContext
) -> dict[str, Any]:
    """Row count, timing, version and lineage, beside what the body has or had to show."""
    with warehouse.read() as con:
        (rows,) = con.execute(f"select count(*) from {spec.asset}").fetchall()[0]
    facts = {
        "dagster/row_count": int(rows),
        "seconds": round(made.record.seconds, 2),
        "data_version": made.record.data_version,
        "unchanged": made.how == "unchanged",
        "how": made.how,
    }
    if made.how == "computed":
        return {**facts, "dagster/column_lineage": _column_lineage(spec), **made.shown}
    return {
        **_shown_before(made.record, context),
        **facts,
        "computed_at": made.record.computed_at.isoformat(timespec="seconds"),
        "computed_in_run": made.record.run_id,
    }


def _shown_before(record: AssetRecord, context: dg.AssetExecutionContext) -> Mapping[str, Any]:
    """Metadata of the materialization that computed these rows, so that pictures stay in sight.

    None where a run died between its commit and its event.
    """
    for past in _materializations(context):
        version = past.metadata.get("data_version")
        if version is not None and version.value == record.data_version:
            return past.metadata
    return {}


def _materializations(context: dg.AssetExecutionContext) -> Iterator[dg.AssetMaterialization]:
    """The latest first, which is mostly enough; the others only if somebody asks on."""
    latest = context.instance.get_latest_materialization_event(context.asset_key)
    if latest is not None and latest.asset_materialization is not None:
        yield latest.asset_materialization
    found = context.instance.fetch_materializations(context.asset_key, limit=_LOOKED_BACK)
    for event in found.records:
        if event.asset_materialization is not None:
            yield event.asset_materialization


def _column_lineage(spec: StageSpec) -> dg.TableColumnLineage:
    """Columns that a parent has under the same name; where others come from the table says."""
    return dg.TableColumnLineage({
        column.name: _namesakes(column.name, spec.parents) for column in TABLES[spec.asset].columns
    })


def _namesakes(column: str, parents: Sequence[str]) -> list[dg.TableColumnDep]:
    return [
        dg.TableColumnDep(asset_key=parent, column_name=column)
        for parent in parents
        if any(theirs.name == column for theirs in TABLES[parent].columns)
    ]
