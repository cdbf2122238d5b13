"""Copying assets from one home's warehouse into another's.

Where several homes differ in a few settings, as the folds of a cross-validation do, what does not
depend on these is computed once and copied. Records come along, so that the target finds the assets
fresh as long as what they read there is what they read in the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cf_pipeline.errors import DataError
from cf_pipeline.sql import literal, quoted
from cf_pipeline.storage.connections import kept_still
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.storage.writing import describe, replace_keys, table_names

_SOURCE = "cf_source"
_WAIT_SECONDS = 600.0


def copy_assets(source: Path, target: Warehouse, assets: Sequence[str]) -> None:
    """Let assets be what they are in another home: all of them, or nothing is changed.

    Copied are their tables, their current records and their history, and what the source knows of
    hashes of files. Artifacts are not: copy assets that have none.

    Args:
        source: the DuckDB file of the other home, which is only read.
        target: the warehouse that takes them, in the place of what it has of these assets.
        assets: their names.

    Raises:
        DataError: the source is no DuckDB file or was locked for too long, or an asset was not
            computed there.
        RuntimeError: the source is the target, or this thread has it open.
    """
    if not source.is_file():
        raise DataError(f"{source} is not there, expected the warehouse.duckdb of another home.")
    with kept_still(source, _WAIT_SECONDS), target.write() as connection:
        # It cannot be detached in the transaction, and goes with the connection.
        connection.execute(f"ATTACH {literal(str(source))} AS {_SOURCE} (READ_ONLY)")
        there = table_names(connection, _SOURCE)
        records = f"FROM {_SOURCE}.asset_records" if "asset_records" in there else "FROM range(0)"
        recorded = {row[0] for row in connection.execute(records).fetchall()}
        missing = [name for name in assets if name not in recorded or name not in there]
        if missing:
            raise DataError(
                f"{source} holds no rows of {', '.join(missing)}; it was computed there: "
                f"{', '.join(sorted(recorded)) or 'nothing'}. Compute them there first."
            )
        for name in (table for asset in assets for table in ASSET_TABLES[asset]):
            if name in there:  # a companion may be younger than the release that wrote the source
                connection.execute(
                    f"CREATE OR REPLACE TABLE {quoted(name)} AS FROM {_SOURCE}.{quoted(name)}"
                )
                describe(connection, TABLES[name])
        among = f"asset IN ({', '.join(map(literal, assets))})"
        for name, which in (
            ("asset_records", among),
            ("record_history", among),
            ("file_hashes", "true"),
        ):
            if name in there:
                rows = f"FROM {_SOURCE}.{quoted(name)} WHERE {which}"
                replace_keys(connection, TABLES[name], rows)
