"""What a stage reads, and whether any of it differs from what was recorded when it was written.

Pure comparison: the record in the warehouse on one side, today's parents, configuration, outside
files and code on the other. `making` asks before it computes, `status` asks and only tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cf_pipeline.configuration.choices import Configuration, configuration_hash
from cf_pipeline.errors import DataError
from cf_pipeline.recompute.fingerprints import SourceFiles
from cf_pipeline.recompute.reach import Symbol
from cf_pipeline.recompute.versions import chosen_methods, code_version
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.warehouse import Warehouse

FILES = "files"
"""The input that stands for files outside the warehouse."""
STARTED_FROM = "started_from"
"""The input that a warm start adds: recorded, and nothing that would have to be current."""


@dataclass(frozen=True)
class StageSpec:
    """What a stage is made of.

    Attributes:
        asset: what it makes.
        group: of the graph.
        parents: assets whose tables it reads.
        reads: sections and fields of the configuration whose values it depends on.
        outside: files outside the warehouse that it reads.
        body: module and name of the function that makes the rows.
        runs: fields whose method it runs without depending on its settings, which it finds
            recorded elsewhere.
    """

    asset: str
    group: str
    parents: tuple[str, ...]
    reads: tuple[str, ...]
    outside: SourceFiles | None
    body: Symbol
    runs: tuple[str, ...] = ()

    def code_version(self, configuration: Configuration) -> str:
        """Of the body and of the methods that the configuration chose for it."""
        keys = [key for key in (*self.reads, *self.runs) if not key.startswith("dataset.")]
        return code_version(self.body, chosen_methods(configuration, keys))

    def section_values(self, configuration: Configuration, dataset: Dataset) -> dict[str, Any]:
        """What the sections and fields that it declares hold."""
        described = dataset.sections()
        return {
            key: described[key] if key in described else configuration.value(key)
            for key in self.reads
        }

    def section_hashes(self, configuration: Configuration, dataset: Dataset) -> dict[str, str]:
        """Hash of each section or field that it declares."""
        values = self.section_values(configuration, dataset)
        return {key: configuration_hash({key: value}) for key, value in values.items()}


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
    """What a stage would read now, and what was recorded when its asset was written last."""

    spec: StageSpec
    dataset: Dataset
    code_version: str
    sections: Mapping[str, str]
    inputs: Mapping[str, str]
    previous: AssetRecord | None

    @property
    def config_hash(self) -> str:
        """One hash of everything that it reads of the configuration."""
        return configuration_hash(self.sections)

    @property
    def identity(self) -> str:
        """One hash of everything that it reads: code, configuration, parents and files."""
        made_of = {"code": self.code_version, "sections": self.sections, "inputs": self.inputs}
        return configuration_hash(made_of)

    @property
    def differences(self) -> list[str]:
        """Why the asset is stale, in words; empty when it is fresh."""
        record = self.previous
        if record is None:
            return ["never materialized"]
        reasons = ["code changed"] if record.code_version != self.code_version else []
        before = record.metadata.get("sections", {})
        edited = [key for key in self.sections if before.get(key) != self.sections[key]]
        if edited or before.keys() != self.sections.keys():
            which = ", ".join(edited) or "other sections are read"
            reasons.append(f"configuration changed: {which}")
        read = inputs_read(record)
        moved = [name for name in self.inputs if read.get(name) != self.inputs[name]]
        if moved or read.keys() != self.inputs.keys():
            reasons.append(f"changed upstream: {', '.join(moved) or 'other parents'}")
        return reasons

    @property
    def current(self) -> AssetRecord | None:
        """The record, where computing would only give it again."""
        return None if self.differences else self.previous

    def made(self, record: AssetRecord) -> bool:
        """Whether a record is of exactly this code, configuration and input."""
        return self._same_maker(record) and inputs_read(record) == dict(self.inputs)

    @property
    def has_same_maker(self) -> bool:
        """Whether today's code, configuration and outside files wrote the previous rows."""
        record = self.previous
        return (
            record is not None
            and self._same_maker(record)
            and record.inputs.get(FILES) == self.inputs.get(FILES)
        )

    def _same_maker(self, record: AssetRecord) -> bool:
        sections = record.metadata.get("sections")
        return record.code_version == self.code_version and sections == dict(self.sections)

    @property
    def attempt(self) -> str:
        """What an attempt to compute it is made of: code, configuration and parents, then files.

        Two hashes with a colon between, so that who does not look at the disk can compare the
        first alone.
        """
        parents = {name: version for name, version in self.inputs.items() if name != FILES}
        made_of = configuration_hash({
            "code": self.code_version,
            "sections": dict(self.sections),
            "parents": parents,
        })
        return f"{made_of}:{self.inputs.get(FILES, '')}"


def inputs_read(record: AssetRecord) -> dict[str, str]:
    """Inputs that have to be current for a record to be: all but what a warm start continued."""
    return {name: version for name, version in record.inputs.items() if name != STARTED_FROM}


def read_inputs(
    spec: StageSpec,
    dataset: Dataset,
    configuration: Configuration,
    warehouse: Warehouse,
    records: Mapping[str, AssetRecord] | None = None,
) -> Reading:
    """Look at everything that a stage reads, without computing anything.

    Args:
        spec: the stage.
        dataset: what the home reads.
        configuration: what the home chose.
        warehouse: its tables.
        records: what is recorded, for who has just read it.

    Raises:
        ConfigError, DataError: a parent or a file is not there.
    """
    records = warehouse.records() if records is None else records
    outside = spec.outside
    files = None if outside is None else lambda: outside(dataset, configuration, warehouse)
    return _reading(spec, dataset, configuration, records, files)


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
    previous = records.get(spec.asset)
    recorded = previous.inputs.get(FILES, "") if previous else ""
    files = None if spec.outside is None else lambda: recorded
    return _reading(spec, dataset, configuration, records, files)


def _reading(
    spec: StageSpec,
    dataset: Dataset,
    configuration: Configuration,
    records: Mapping[str, AssetRecord],
    files: Callable[[], str] | None,
) -> Reading:
    inputs = {parent: recorded_version(records, parent, spec.asset) for parent in spec.parents}
    if files is not None:
        inputs[FILES] = files()
    return Reading(
        spec,
        dataset,
        spec.code_version(configuration),
        spec.section_hashes(configuration, dataset),
        inputs,
        records.get(spec.asset),
    )
