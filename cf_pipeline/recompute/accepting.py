"""What is due and a person knows to be harmless: accepted, so that nothing is computed.

The record of the rows that stand is published again under today's code and configuration, with a
note that lineage shows. Rows of other inputs cannot be accepted: they are other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from cf_pipeline.errors import DataError
from cf_pipeline.recompute.due import Situation
from cf_pipeline.recompute.stage import open_warehouse
from cf_pipeline.recompute.staleness import Reading, StageSpec, inputs_read, read_inputs
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.records import AssetRecord


def accept(home: Home, stages: Sequence[StageSpec], assets: Sequence[str]) -> dict[str, str]:
    """Take code and configuration of assets as harmless to their rows.

    Args:
        home: whose lock the caller holds.
        stages: every asset.
        assets: names of those to accept.

    Returns:
        Asset to what was accepted, in words; those that were fresh are left out.

    Raises:
        DataError: no such asset, one that was never computed, or one whose inputs changed.
    """
    specs = {spec.asset: spec for spec in stages}
    unknown = [name for name in assets if name not in specs]
    if unknown:
        raise DataError(f"no asset {unknown[0]!r}; the assets are {', '.join(specs)}.")
    situation = Situation.of(home)
    warehouse = open_warehouse(home, situation.configuration)
    readings = [
        read_inputs(specs[name], situation.dataset, situation.configuration, warehouse)
        for name in assets
    ]
    records = [(_accepted(reading), reading.differences) for reading in readings]
    for record, why in records:
        if why:
            warehouse.adopt(record)
    return {record.asset: "; ".join(why) for record, why in records if why}


def _accepted(reading: Reading) -> AssetRecord:
    record = reading.previous
    if record is None:
        raise DataError(
            f"{reading.spec.asset} was never computed, so there is nothing to accept. Run "
            "cf-pipeline run."
        )
    if inputs_read(record) != dict(reading.inputs):
        raise DataError(
            f"{reading.spec.asset} cannot be accepted: {'; '.join(reading.differences)}. Only "
            "changes of code and configuration can; accept above where the change began, or run."
        )
    now = datetime.now(UTC)
    note = {
        "at": now.isoformat(timespec="seconds"),
        "why_due": "; ".join(reading.differences),
        "code_version": record.code_version,
    }
    return replace(
        record,
        code_version=reading.code_version,
        config_hash=reading.config_hash,
        run_id=f"accepted {now.isoformat(timespec='seconds')}",
        metadata={**record.metadata, "sections": dict(reading.sections), "accepted": note},
    )
