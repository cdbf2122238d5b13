"""What was computed last, from what: one record per asset, written with its rows.

The record is what a later run compares with: equal inputs, code and configuration mean that
there is nothing to compute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from cf_pipeline.errors import DataError


@dataclass(frozen=True)
class Draft:
    """A record before its rows are written.

    Attributes:
        asset: name of the asset.
        code_version: hash of the code that made the rows.
        config_hash: hash of the configuration sections that the asset reads.
        inputs: data version of every input, by its asset's name.
        run_id: the run that computed it.
        computed_at: when, with a time zone.
        seconds: how long it took.
        metadata: what else there is to say, as JSON can hold it.
        data_version: version to record in place of the hash of the rows.
    """

    asset: str
    code_version: str
    config_hash: str
    inputs: Mapping[str, str]
    run_id: str
    computed_at: datetime
    seconds: float
    metadata: Mapping[str, Any] = field(default_factory=dict)
    data_version: str | None = None


@dataclass(frozen=True)
class AssetRecord:
    """What the warehouse holds of an asset; attributes as of `Draft`, `computed_at` in UTC."""

    asset: str
    data_version: str
    code_version: str
    config_hash: str
    inputs: dict[str, str]
    run_id: str
    computed_at: datetime
    seconds: float
    metadata: dict[str, Any]

    @classmethod
    def of(cls, draft: Draft, data_version: str) -> AssetRecord:
        """The record of rows that have this version.

        Raises:
            DataError: the time has no zone, or JSON cannot hold the metadata.
        """
        if draft.computed_at.tzinfo is None:
            raise DataError(
                f"{draft.asset}: computed_at {draft.computed_at} has no time zone. "
                "Use datetime.now(UTC)."
            )
        try:
            metadata = json.loads(json.dumps(dict(draft.metadata), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{draft.asset}: the metadata cannot be written as JSON: {error}. Use finite "
                "numbers, texts, lists and dictionaries."
            ) from error
        return cls(**{
            **vars(draft),
            "data_version": data_version,
            "inputs": dict(draft.inputs),
            "computed_at": draft.computed_at.astimezone(UTC),
            "seconds": float(draft.seconds),
            "metadata": metadata,
        })

    def as_row(self) -> pl.DataFrame:
        """The record as a frame of one row of `asset_records`."""
        return pl.DataFrame([
            {
                **vars(self),
                "inputs": json.dumps(self.inputs, sort_keys=True),
                "computed_at": self.computed_at.replace(tzinfo=None),
                "metadata": json.dumps(self.metadata, sort_keys=True),
            }
        ])

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> AssetRecord:
        """The record that a row of `asset_records` holds."""
        return cls(**{
            **row,
            "inputs": json.loads(row["inputs"]),
            "computed_at": row["computed_at"].replace(tzinfo=UTC),
            "metadata": json.loads(row["metadata"]),
        })
