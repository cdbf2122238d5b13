"""Sources on disk: which assets read files that are no longer what was recorded.

A glance at names, sizes and dates comes first, and contents are hashed only when that changed and
has been quiet for `automation.settle_seconds`: files that are still being written are left alone,
and `touch` changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from cf_pipeline.errors import CfPipelineError
from cf_pipeline.recompute.attempts import gave_up
from cf_pipeline.recompute.due import COMPLETE, Situation
from cf_pipeline.recompute.staleness import FILES, StageSpec, read_inputs
from cf_pipeline.storage.warehouse import Warehouse


class Seen(BaseModel):
    """What was seen of an asset's files, kept in the sensor's cursor."""

    model_config = ConfigDict(frozen=True)

    digest: str
    """Of the last glance."""
    since: float
    """When that was first seen, seconds since the epoch."""
    settled: bool = False
    """Whether contents were compared since, and found to be as recorded."""


class Cursor(BaseModel):
    """Asset to what was seen of its files."""

    seen: dict[str, Seen] = {}


@dataclass(frozen=True)
class Watched:
    """What a look at the sources brought.

    Attributes:
        changed: assets whose files differ from what was recorded, and are to be read now.
        waiting: asset to why its files are left alone for now.
        cursor: for the next look.
    """

    cursor: Cursor
    changed: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)


def look_at_sources(
    situation: Situation,
    warehouse: Warehouse,
    stages: Sequence[StageSpec],
    cursor: Cursor,
    now: float | None = None,
) -> Watched:
    """Compare files on disk with what was recorded.

    Args:
        situation: what is current.
        warehouse: remembers hashes of files.
        stages: the assets; those without files are passed over.
        cursor: of the look before.
        now: seconds since the epoch, by default the clock's.
    """
    now = time.time() if now is None else now
    watched = Watched(Cursor(seen=dict(cursor.seen)))
    for spec in _watched(situation, stages):
        try:
            obstacle = _look(situation, warehouse, spec, watched.cursor.seen, now)
        except CfPipelineError as error:
            obstacle = str(error)
        if obstacle is None:
            watched.changed.append(spec.asset)
        elif obstacle:
            watched.waiting[spec.asset] = obstacle
    return watched


def _watched(situation: Situation, stages: Sequence[StageSpec]) -> list[StageSpec]:
    """Assets that read files, that were computed or tried in vain before, and that are not held."""
    if COMPLETE not in situation.records:
        return []
    held = set(situation.configuration.automation.hold)
    in_vain = {name for name, last in situation.attempts.items() if last.outcome != "done"}
    known = situation.records.keys() | in_vain
    return [
        spec
        for spec in stages
        if spec.outside is not None and spec.asset in known and spec.asset not in held
    ]


def _look(
    situation: Situation,
    warehouse: Warehouse,
    spec: StageSpec,
    seen: dict[str, Seen],
    now: float,
) -> str | None:
    """None where the asset's files are to be read; else why not, empty where nothing changed."""
    assert spec.outside is not None
    files, configuration = spec.outside, situation.configuration
    digest = files.glance(situation.dataset, configuration, warehouse)
    last = seen.get(spec.asset)
    if last is None or last.digest != digest:
        last = seen[spec.asset] = Seen(digest=digest, since=now)
    if last.settled:
        return ""
    quiet = now - last.since
    settle = configuration.automation.settle_seconds
    if quiet < settle:
        return f"files changed {quiet:.0f} s ago; read after {settle:g} s of quiet"
    files.check(situation.dataset)
    reading = read_inputs(spec, situation.dataset, configuration, warehouse)
    record = situation.records.get(spec.asset)
    is_as_recorded = record is not None and record.inputs.get(FILES) == reading.inputs[FILES]
    attempt = situation.attempts.get(spec.asset)
    if is_as_recorded and (attempt is None or attempt.outcome == "done"):
        seen[spec.asset] = last.model_copy(update={"settled": True})
        return ""
    # A source that is again what it was before it failed: to be read, so that the failure is over.
    return gave_up(situation.attempts, reading, look_at_files=True)


def describe(waiting: Mapping[str, str]) -> str:
    """One line per asset."""
    return "; ".join(f"{asset}: {why}" for asset, why in sorted(waiting.items()))
