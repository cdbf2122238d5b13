"""What an asset reads, and whether any of it differs from what was recorded when it was written.

Pure comparison: the record in the warehouse on one side, today's parents, configuration, outside
files and code on the other. `stage` asks before it computes, `status` asks and only tells.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cf_pipeline.errors import DataError
from cf_pipeline.recipes.configuration import Configuration, configuration_hash
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.warehouse import Warehouse

Outside = Callable[[Dataset, Configuration, Warehouse], str]


@dataclass(frozen=True)
class StageSpec:
    """What an asset reads: its parents, its sections, and files outside the warehouse."""

    asset: str
    group: str
    parents: tuple[str, ...]
    reads: tuple[str, ...]
    outside: Outside | None
    code_version: str

    def section_hashes(self, configuration: Configuration, dataset: Dataset) -> dict[str, str]:
        """Hash of each section or field that the asset declares."""
        described = dataset.sections()
        return {
            key: configuration_hash({
                key: described[key] if key in described else configuration.value(key)
            })
            for key in self.reads
        }

    def inputs(
        self,
        dataset: Dataset,
        configuration: Configuration,
        warehouse: Warehouse,
        records: Mapping[str, AssetRecord],
    ) -> dict[str, str]:
        """Data version of every parent, and the fingerprint of outside files.

        Raises:
            DataError: a parent was never materialized.
        """
        versions = {
            parent: recorded_version(records, parent, self.asset) for parent in self.parents
        }
        if self.outside is not None:
            versions["files"] = self.outside(dataset, configuration, warehouse)
        return versions


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
        moved = [name for name in self.inputs if record.inputs.get(name) != self.inputs[name]]
        if moved or record.inputs.keys() != self.inputs.keys():
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
            and record.inputs.get("files") == self.inputs.get("files")
        )


def read_inputs(
    spec: StageSpec, dataset: Dataset, configuration: Configuration, warehouse: Warehouse
) -> Reading:
    """Look at everything that an asset reads, without computing anything.

    Raises:
        ConfigError, DataError: a parent or a file is not there.
    """
    records = warehouse.records()
    return Reading(
        spec,
        dataset,
        sections=spec.section_hashes(configuration, dataset),
        inputs=spec.inputs(dataset, configuration, warehouse, records),
        previous=records.get(spec.asset),
    )
