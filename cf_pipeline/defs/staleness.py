"""What an asset reads, and whether any of it differs from what was recorded when it was written.

Pure comparison: the record in the warehouse on one side, today's parents, configuration, outside
files and code on the other. `stage` asks before it computes, `status` asks and only tells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cf_pipeline.defs.fingerprints import SourceFiles
from cf_pipeline.errors import DataError
from cf_pipeline.recipes.configuration import Configuration, configuration_hash
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.warehouse import Warehouse

FILES = "files"
"""The input that stands for files outside the warehouse."""
STARTED_FROM = "started_from"
"""The input that a warm start adds: recorded, and nothing that would have to be current."""


@dataclass(frozen=True)
class StageSpec:
    """What an asset reads: its parents, its sections, and files outside the warehouse."""

    asset: str
    group: str
    parents: tuple[str, ...]
    reads: tuple[str, ...]
    outside: SourceFiles | None
    code_version: str

    def section_values(self, configuration: Configuration, dataset: Dataset) -> dict[str, Any]:
        """What the sections and fields that the asset declares hold."""
        described = dataset.sections()
        return {
            key: described[key] if key in described else configuration.value(key)
            for key in self.reads
        }

    def section_hashes(self, configuration: Configuration, dataset: Dataset) -> dict[str, str]:
        """Hash of each section or field that the asset declares."""
        values = self.section_values(configuration, dataset)
        return {key: configuration_hash({key: value}) for key, value in values.items()}

    def parent_versions(self, records: Mapping[str, AssetRecord]) -> dict[str, str]:
        """Data version of every parent.

        Raises:
            DataError: a parent was never materialized.
        """
        return {parent: recorded_version(records, parent, self.asset) for parent in self.parents}


def recorded_version(records: Mapping[str, AssetRecord], asset: str, needed_by: str) -> str:
    """Current data version of an asset.

    Raises:
        DataError: it was never materialized.
    """
    record = records.get(asset)
    if record is None:
        raise DataError(
            f"{needed_by} reads {asset}, which is not there. Materialize {asset} first: "
            f"cf-pipeline run --select {asset}, or run everything."
        )
    return record.data_version


@dataclass(frozen=True)
class Reading:
    """What an asset would read now, and what was recorded when it was written last."""

    spec: StageSpec
    dataset: Dataset
    sections: Mapping[str, str]
    inputs: Mapping[str, str]
    previous: AssetRecord | None

    @property
    def config_hash(self) -> str:
        """One hash of everything that it reads of the configuration."""
        return configuration_hash(self.sections)

    @property
    def differences(self) -> list[str]:
        """Why the asset is stale, in words; empty when it is fresh."""
        record = self.previous
        if record is None:
            return ["never materialized"]
        reasons = ["code changed"] if record.code_version != self.spec.code_version else []
        before = record.metadata.get("sections", {})
        edited = [key for key in self.sections if before.get(key) != self.sections[key]]
        if edited or before.keys() != self.sections.keys():
            which = ", ".join(edited) or "other sections are read"
            reasons.append(f"configuration changed: {which}")
        read = {name: v for name, v in record.inputs.items() if name != STARTED_FROM}
        moved = [name for name in self.inputs if read.get(name) != self.inputs[name]]
        if moved or read.keys() != self.inputs.keys():
            reasons.append(f"changed upstream: {', '.join(moved) or 'other parents'}")
        return reasons

    @property
    def current(self) -> AssetRecord | None:
        """The record, where computing would only give it again."""
        return None if self.differences else self.previous

    @property
    def has_same_maker(self) -> bool:
        """Whether today's code, configuration and outside files wrote the previous rows."""
        record = self.previous
        return (
            record is not None
            and record.code_version == self.spec.code_version
            and record.metadata.get("sections") == dict(self.sections)
            and record.inputs.get(FILES) == self.inputs.get(FILES)
        )

    @property
    def attempt(self) -> str:
        """What an attempt to compute it is made of: code, configuration and parents, then files.

        Two hashes with a colon between, so that who does not look at the disk can compare the
        first alone.
        """
        parents = {name: version for name, version in self.inputs.items() if name != FILES}
        made_of = configuration_hash({
            "code": self.spec.code_version,
            "sections": dict(self.sections),
            "parents": parents,
        })
        return f"{made_of}:{self.inputs.get(FILES, '')}"


def read_inputs(
    spec: StageSpec, dataset: Dataset, configuration: Configuration, warehouse: Warehouse
) -> Reading:
    """Look at everything that an asset reads, without computing anything.

    Raises:
        ConfigError, DataError: a parent or a file is not there.
    """
    records = warehouse.records()
    inputs = spec.parent_versions(records)
    if spec.outside is not None:
        inputs[FILES] = spec.outside(dataset, configuration, warehouse)
    sections = spec.section_hashes(configuration, dataset)
    return Reading(spec, dataset, sections, inputs, records.get(spec.asset))


def read_recorded_inputs(
    spec: StageSpec,
    dataset: Dataset,
    configuration: Configuration,
    records: Mapping[str, AssetRecord],
) -> Reading:
    """The same with outside files taken to be as they were recorded: no disk is looked at.

    Raises:
        ConfigError, DataError: a parent is not there.
    """
    inputs = spec.parent_versions(records)
    previous = records.get(spec.asset)
    if spec.outside is not None:
        inputs[FILES] = previous.inputs.get(FILES, "") if previous else ""
    sections = spec.section_hashes(configuration, dataset)
    return Reading(spec, dataset, sections, inputs, previous)
