"""The tables that the warehouse keeps for itself: records, attempts, artifacts, file hashes.

They belong to no asset, have no data version, and are written row by row: a write replaces the
rows that have the same key and leaves the others.
"""

from __future__ import annotations

from cf_pipeline.storage.columns import ATTEMPT_OUTCOMES
from cf_pipeline.storage.schema import Column, Table, required

_RECORD = (
    required("asset", "VARCHAR", "Name of the asset."),
    required("data_version", "VARCHAR", "Hash of its rows."),
    required("code_version", "VARCHAR", "Hash of the code that made them."),
    required("config_hash", "VARCHAR", "Hash of the configuration that it reads."),
    required("inputs", "VARCHAR", "Data version of every input, JSON object."),
    required("run_id", "VARCHAR", "The run that made it."),
    required("computed_at", "TIMESTAMP", "When, UTC."),
    required("seconds", "DOUBLE", "How long it took, seconds."),
    required("metadata", "VARCHAR", "What else there is to say, JSON object."),
)

BOOKKEEPING = (
    Table(
        "asset_records",
        "What was computed last, from what, and when; one row per asset.",
        _RECORD,
        key=("asset",),
    ),
    Table(
        "record_history",
        "Every record ever published, so that an old version can be traced to what made it.",
        _RECORD,
        key=("asset", "data_version", "run_id"),
    ),
    Table(
        "attempts",
        "The latest attempt to compute each asset, and how it ended.",
        (
            required("asset", "VARCHAR", "Name of the asset."),
            required("attempt", "VARCHAR", "Hash of its code, configuration and inputs."),
            required("run_id", "VARCHAR", "The run that began it last."),
            required("started_at", "TIMESTAMP", "When it was begun last, UTC."),
            required("starts", "BIGINT", "How often this same attempt was begun."),
            required("outcome", "VARCHAR", "How it ended.", ATTEMPT_OUTCOMES),
            Column("message", "VARCHAR", "What went wrong; null where nothing did."),
        ),
        key=("asset",),
    ),
    Table(
        "artifacts",
        "Content-addressed folders beside the warehouse.",
        (
            required("kind", "VARCHAR", "What sort of thing it is."),
            required("version", "VARCHAR", "SHA-256 of names and contents, hexadecimal."),
            required("path", "VARCHAR", "Its folder, relative to the home."),
            required("n_bytes", "BIGINT", "Size of its files, bytes."),
            required("created_at", "TIMESTAMP", "When it was recorded, UTC."),
        ),
        key=("kind", "version"),
    ),
    Table(
        "file_hashes",
        "Hashes of files, so that an unchanged file is not read again.",
        (
            required("path", "VARCHAR", "Absolute path."),
            required("size_bytes", "BIGINT", "Size when hashed, bytes."),
            required("mtime_ns", "BIGINT", "Modification time when hashed, ns since 1970."),
            required("sha256", "VARCHAR", "SHA-256 of its bytes, hexadecimal."),
        ),
        key=("path",),
    ),
)
