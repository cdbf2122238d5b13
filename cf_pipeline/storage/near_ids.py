"""Ids that look like one that is not there."""

from __future__ import annotations

from cf_pipeline.sql import quoted
from cf_pipeline.storage.warehouse import Warehouse

_NEAR = 0.9
"""Of the Jaro-Winkler similarity, 1 for equal texts: below, nobody would have meant it."""


def near_ids(
    warehouse: Warehouse, table: str, column: str, wanted: str, where: str = "true"
) -> str:
    """` Did you mean 'a' or 'b'?`, with a blank before it; empty where nothing is near.

    Args:
        warehouse: of the home.
        table: where ids stand.
        column: which of its columns.
        wanted: the id that is not there.
        where: an SQL condition on rows.
    """
    name = quoted(column)
    with warehouse.read() as connection:
        rows = connection.execute(
            f"SELECT DISTINCT {name}, jaro_winkler_similarity({name}, ?) AS near "
            f"FROM {quoted(table)} WHERE {where} AND near >= ? ORDER BY near DESC, {name} LIMIT 3",
            [wanted, _NEAR],
        ).fetchall()
    found = " or ".join(repr(row[0]) for row in rows)
    return f" Did you mean {found}?" if found else ""
