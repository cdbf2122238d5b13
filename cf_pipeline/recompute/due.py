"""Which assets are due, judged by what is recorded: level-triggered, without memory of its own.

Nothing here depends on what happened between two looks, so a reload of the code location, a daemon
that was down or a lost cursor change no answer. An asset whose ancestor is due waits for it, so
that a change computes every asset below it once; where the ancestor comes out as it was, nothing
below is due any more. Files outside the warehouse are the business of `watching`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cf_pipeline.configuration.choices import Choices, Configuration, resolve
from cf_pipeline.errors import ConfigError
from cf_pipeline.recompute.attempts import Attempt, attempts, gave_up
from cf_pipeline.recompute.stage import open_warehouse
from cf_pipeline.recompute.staleness import Reading, StageSpec, read_recorded_inputs
from cf_pipeline.sources.dataset import Dataset, load_dataset
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.records import AssetRecord

COMPLETE = "trained_cnn"
"""A home in which this was never computed has not had its first full run. Not a score: a data set
without a single relevant query has none, and is kept up to date all the same."""


@dataclass(frozen=True)
class Situation:
    """What is current in a home: configuration, records, attempts."""

    configuration: Configuration
    dataset: Dataset
    records: Mapping[str, AssetRecord]
    attempts: Mapping[str, Attempt]

    @classmethod
    def of(cls, home: Home) -> Situation:
        """Read it.

        Raises:
            ConfigError, DataError: configuration, data set or warehouse cannot be read.
        """
        configuration = resolve(Choices.read(home.config_path))
        dataset = load_dataset(configuration.dataset)
        warehouse = open_warehouse(home, configuration)
        with warehouse.read():  # the file is opened once: that is most of what reading costs
            return cls(configuration, dataset, warehouse.records(), attempts(warehouse))

    def reading(self, spec: StageSpec) -> Reading:
        """What an asset would read, files taken to be as recorded."""
        return read_recorded_inputs(spec, self.dataset, self.configuration, self.records)


@dataclass(frozen=True)
class Due:
    """What is to be computed now, and what is stale and is not.

    Attributes:
        reasons: asset to why it is due.
        waiting: asset to what it waits for.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)


def due_assets(situation: Situation, stages: Sequence[StageSpec]) -> Due:
    """Judge every asset.

    Args:
        situation: what is current.
        stages: the assets, parents before children.

    Raises:
        ConfigError: `automation.hold` names no asset.
    """
    held = set(situation.configuration.automation.hold)
    check_held(held, [spec.asset for spec in stages])
    due, blocked_below = Due(), dict[str, str]()
    for spec in stages:
        above = next((blocked_below[p] for p in spec.parents if p in blocked_below), None)
        why = _why_due(situation, spec)
        if why is not None and above is None:
            obstacle = _obstacle(situation, spec, held)
            if obstacle is None:
                due.reasons[spec.asset] = why
                above = spec.asset
            else:
                due.waiting[spec.asset] = obstacle
        elif why is not None:
            due.waiting[spec.asset] = f"waits for {above}"
        if above is not None:
            blocked_below[spec.asset] = above
    return due


def check_held(held: set[str], assets: Sequence[str]) -> None:
    """Refuse names in `automation.hold` that are no assets.

    Raises:
        ConfigError: there is one.
    """
    unknown = sorted(held - set(assets))
    if unknown:
        raise ConfigError(
            f"automation.hold names {unknown[0]!r}, which is no asset; the assets are "
            f"{', '.join(assets)}. Correct it: cf-pipeline config --unset automation.hold."
        )


def _why_due(situation: Situation, spec: StageSpec) -> str | None:
    if any(parent not in situation.records for parent in spec.parents):
        return None
    if spec.asset not in situation.records and COMPLETE not in situation.records:
        return None  # the first full run is for a person to start
    reading = situation.reading(spec)
    if reading.differences:
        return "; ".join(reading.differences)
    last = situation.attempts.get(spec.asset)
    if (
        last is None
        or last.outcome == "done"
        or _files_of(last.attempt) != _files_of(reading.attempt)
    ):
        return None  # an attempt on other files is for `watching` to judge
    return "its last attempt did not end well, and what it reads is as recorded again"


def _files_of(attempt: str) -> str:
    return attempt.partition(":")[2]


def _obstacle(situation: Situation, spec: StageSpec, held: set[str]) -> str | None:
    """Why an asset that is stale is left alone."""
    if spec.asset in held:
        return "held: left to the schedule and to cf-pipeline run"
    return gave_up(situation.attempts, situation.reading(spec), look_at_files=False)
