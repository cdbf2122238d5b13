"""What is dear, found again by what made it, among the models whose rows are kept.

Tables with a scope keep the rows of several models, and every record that was ever published stays
in the history. So where an edit is taken back, or a recipe chosen again, the record of the same
code, settings and inputs is there, and the rows with it: the record becomes the current one again.
Rows are hashed before they are believed, since another model's may have been brought up to date.
"""

from __future__ import annotations

from cf_pipeline.recompute.staleness import Reading
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.contents import content_version
from cf_pipeline.storage.history import history
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.storage.writing import table_names


def recalled(reading: Reading, warehouse: Warehouse, artifacts: Artifacts) -> AssetRecord | None:
    """The earlier record of exactly what would be computed, made current; None where none stands.

    Args:
        reading: what the stage would read now.
        warehouse: its rows and history.
        artifacts: its files.
    """
    asset = reading.spec.asset
    if TABLES[ASSET_TABLES[asset][0]].scope is None:
        return None
    for record in history(warehouse, asset):
        if reading.made(record) and _stands(record, warehouse, artifacts):
            warehouse.adopt(record)
            return record
    return None


def _stands(record: AssetRecord, warehouse: Warehouse, artifacts: Artifacts) -> bool:
    """Whether the rows and files of a record are there as it says."""
    scope = record.metadata.get("scope")
    tables = [TABLES[name] for name in ASSET_TABLES[record.asset]]
    if scope is None or not all(
        artifacts.has(kind, version)
        for kind, version in record.metadata.get("artifacts", {}).items()
    ):
        return False
    with warehouse.read() as connection:
        if not {table.name for table in tables} <= set(table_names(connection)):
            return False
        if record.data_version == scope:  # the version says what made the rows, not what they are
            query = f"SELECT count(*) FROM {tables[0].name} WHERE {tables[0].scope} = ?"
            (n_rows,) = connection.execute(query, [scope]).fetchall()[0]
            return bool(n_rows)
        return content_version(connection, tables, scope) == record.data_version
