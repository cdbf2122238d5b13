"""Reading the history: every record that was ever published, not only the latest per asset.

What an old data version was made from stands here after newer rows took its place. A warehouse
in which nothing was published yet has an empty history.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cf_pipeline.sql import quoted
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.storage.writing import table_names

_TABLE = "record_history"


def history(warehouse: Warehouse, asset: str) -> list[AssetRecord]:
    """The records of an asset, newest first."""
    return _records(warehouse, "asset = ?", [asset])


def version_record(
    warehouse: Warehouse, asset: str, data_version: str, as_of: datetime | None = None
) -> AssetRecord | None:
    """The newest record that gave an asset this data version; None where none did.

    Args:
        warehouse: the tables.
        asset: its name.
        data_version: made several times where other inputs gave the same rows.
        as_of: of these times the last one up to then, with a time zone; the newest where all are
            later.
    """
    found = _records(warehouse, "asset = ? AND data_version = ?", [asset, data_version])
    earlier = [record for record in found if as_of is None or record.computed_at <= as_of]
    return next(iter(earlier or found), None)


def _records(warehouse: Warehouse, where: str, parameters: Sequence[str]) -> list[AssetRecord]:
    with warehouse.read() as connection:
        if _TABLE not in table_names(connection):
            return []
        rows = connection.sql(
            # Of two records of one moment the one that was written later is the newer.
            f"FROM {quoted(_TABLE)} WHERE {where} ORDER BY computed_at DESC, rowid DESC",
            params=list(parameters),
        ).pl()
    return [AssetRecord.from_row(row) for row in rows.iter_rows(named=True)]
