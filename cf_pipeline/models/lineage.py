"""Where a feature comes from: back from a model to files and their hashes, out of the records.

Every record that was ever published is kept, so a model of last month is told as well as today's:
which training set, factors, matrix and rows it was made of, by which code and configuration. That
is enough to make it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import polars as pl

from cf_pipeline.configuration.choices import SECTIONS, Choices
from cf_pipeline.errors import DataError
from cf_pipeline.models.catalogue import champion_of, warehouse_of, whole_version
from cf_pipeline.recompute.staleness import FILES, STARTED_FROM
from cf_pipeline.storage.history import history, version_record
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline.storage.warehouse import Warehouse


@dataclass(frozen=True)
class Made:
    """One version of one asset.

    Attributes:
        asset: its name.
        data_version: of its rows; of trained_cnn the model version.
        code_version: of the code that made them.
        computed_at: when, UTC.
        run_id: in which run.
        inputs: parent to its data version; `files` to the fingerprint of files.
        configuration: section or field to its value.
        files: what was read outside the warehouse, with hashes where they are few.
        started_from: the version that a warm start continued.
        accepted: what a person took as harmless to these rows, when, and what had made them.
    """

    asset: str
    data_version: str
    code_version: str
    computed_at: datetime
    run_id: str
    inputs: Mapping[str, str]
    configuration: Mapping[str, Any]
    files: Mapping[str, Any]
    started_from: str | None
    accepted: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Lineage:
    """A version and everything that it was made of, itself first.

    Attributes:
        made: each version once, after what was made of it.
        choices: what `config.toml` must hold to make it again.
        missing: versions of which no record is kept.
    """

    made: tuple[Made, ...]
    choices: Choices
    missing: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        made = [{**asdict(m), "computed_at": m.computed_at.isoformat()} for m in self.made]
        return {
            "made": made,
            "choices": self.choices.model_dump(mode="json"),
            "missing": list(self.missing),
        }


def lineage_of(home: Home, asset: str, version: str | None = None) -> Lineage:
    """What a version of an asset was made of, by default of the current one.

    Raises:
        DataError: there is no such version.
    """
    warehouse = warehouse_of(home)
    if version is not None:
        made = {record.data_version for record in history(warehouse, asset)}
        version = whole_version(version, sorted(made))
        record = version_record(warehouse, asset, version)
    else:
        record = warehouse.record(asset)
    if record is None:
        raise DataError(
            f"{asset} was not computed yet in {home.path}. `cf-pipeline status` shows what was."
        )
    missing: list[str] = []
    records = list(_walk(warehouse, record, missing))
    return Lineage(tuple(_made(r) for r in records), _choices(records), tuple(missing))


def facts_of_project(home: Home, project_id: str) -> dict[str, Any]:
    """What the tables say of one project: its cover, split, interactions and embeddings.

    Raises:
        DataError: there is no such project.
    """
    warehouse = warehouse_of(home)
    rows = {
        table: warehouse.frame(table, where=f"{column} = ?", parameters=[project_id])
        for table, column in _TABLES_OF_PROJECTS.items()
        if warehouse.has(table)
    }
    if all(frame.is_empty() for frame in rows.values()):
        raise DataError(
            f"no project {project_id!r} in {home.path}. Ids are texts as the source writes them: "
            "select project_id from raw_projects."
        )
    return {
        "project_id": project_id,
        "events": _height(rows, "raw_interactions"),
        "users_in_matrix": _height(rows, "pruned_matrix"),
        **_first(rows, "project_split", "split"),
        **_first(rows, "covers", "path", "sha256", "status", "reason", "look_group"),
        **_first(rows, "latent_factors", "folded_in"),
        "trained_on_by": _values(rows, "trained_on", "model_version"),
        "embedded_by": _values(rows, "embeddings", "model_version"),
        "served_by": champion_of(warehouse) or "no model yet",
    }


_TABLES_OF_PROJECTS = {
    "raw_interactions": "project_id",
    "pruned_matrix": "project_id",
    "project_split": "project_id",
    "covers": "project_id",
    "latent_factors": "side = 'project' and id",
    "trained_on": "project_id",
    "embeddings": "project_id",
}


def _walk(warehouse: Warehouse, first: AssetRecord, missing: list[str]) -> Iterator[AssetRecord]:
    """Every record that one was made of, breadth first, each version once.

    The same version may have been made again since, of other inputs: what counts is the record
    that was there when the version was read.
    """
    waiting, seen = [first], {(first.asset, first.data_version)}
    while waiting:
        record = waiting.pop(0)
        yield record
        inputs = {k: v for k, v in record.inputs.items() if k not in {FILES, STARTED_FROM}}
        wanted = list(inputs.items())
        if STARTED_FROM in record.inputs:
            wanted.append((record.asset, record.inputs[STARTED_FROM]))
        for asset, version in wanted:
            if (asset, version) in seen:
                continue
            seen.add((asset, version))
            parent = version_record(warehouse, asset, version, as_of=record.computed_at)
            if parent is None:
                missing.append(f"{asset} {version}")
            else:
                waiting.append(parent)


def _made(record: AssetRecord) -> Made:
    return Made(
        asset=record.asset,
        data_version=record.data_version,
        code_version=record.code_version,
        computed_at=record.computed_at,
        run_id=record.run_id,
        inputs={k: v for k, v in record.inputs.items() if k != STARTED_FROM},
        configuration=record.metadata.get("configuration", {}),
        files=record.metadata.get("files", {}),
        started_from=record.inputs.get(STARTED_FROM),
        accepted=record.metadata.get("accepted"),
    )


def _choices(records: list[AssetRecord]) -> Choices:
    """The configuration that these records were made with, field by field."""
    newest = records[0].metadata
    chosen: dict[str, Any] = {}
    for record in records:
        for key, value in record.metadata.get("configuration", {}).items():
            if key.partition(".")[0] not in SECTIONS:
                continue  # a part of dataset.toml
            for field, held in _fields(key, value).items():
                chosen.setdefault(field, held)
    defaults = Choices()
    return Choices(
        dataset=newest.get("dataset", defaults.dataset),
        recipe=newest.get("recipe", defaults.recipe),
        budget=newest.get("budget", defaults.budget),
        set=chosen,
    )


def _fields(key: str, value: Any) -> dict[str, Any]:
    """What a section or field holds, by the keys of `config.toml`, which has no word for None."""
    if isinstance(value, Mapping):
        inner = (_fields(f"{key}.{name}", held) for name, held in value.items())
        return {field: held for fields in inner for field, held in fields.items()}
    return {} if value is None else {key: value}


def _height(rows: Mapping[str, pl.DataFrame], table: str) -> int:
    return rows[table].height if table in rows else 0


def _first(rows: Mapping[str, pl.DataFrame], table: str, *columns: str) -> dict[str, Any]:
    frame = rows.get(table)
    if frame is None or frame.is_empty():
        return {}
    return {column: frame[column][0] for column in columns}


def _values(rows: Mapping[str, pl.DataFrame], table: str, column: str) -> list[str]:
    return rows[table][column].to_list() if table in rows else []
