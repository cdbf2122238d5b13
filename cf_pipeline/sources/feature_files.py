"""Vectors that come from outside: `[[features]]`, in Parquet, as a NumPy matrix, or in records.

Records are those of the Behance and Amazon releases of McAuley's group: an id of so many bytes and
its floats, one after another, little-endian. Files are read in batches and written to Parquet as
they come, so memory does not grow with them.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.description import Features
from cf_pipeline.sources.files import feature_files, ids_file
from cf_pipeline.sources.reading import Loaded
from cf_pipeline.sql import path_literal
from cf_pipeline.vectors import Matrix

NO_SUCH_PROJECT = "no such project"
REPEATED = "second vector of a project"
NOT_FINITE = "not finite"
NOTHING = "all zeros"
_ROWS_AT_ONCE = 2048
_FORMATS = {".parquet": "parquet", ".pq": "parquet", ".npy": "npy", ".b": "records"}
_USED = pa.schema([
    ("project_id", pa.string()),
    ("feature_set", pa.string()),
    ("sha256", pa.string()),
    ("in_place_of_covers", pa.bool_()),
    ("features", pa.list_(pa.float32())),
])
_REJECTED = pa.schema([
    ("file", pa.string()),
    ("row_number", pa.int64()),
    ("reason", pa.string()),
    ("content", pa.string()),
])


class Batch(NamedTuple):
    """Some rows of a file: ids, and float32 vectors, shape (n, d)."""

    ids: list[str]
    vectors: Matrix


@dataclass
class _Counts:
    read: int = 0
    used: int = 0
    by_reason: dict[str, int] = field(default_factory=dict)
    dimensions: int = 0


def feature_set_name(features: Features) -> str:
    """`user:<name>`."""
    return f"user:{features.name}"


def export_features(dataset: Dataset, project_ids: set[str], folder: Path) -> Loaded:
    """Read `[[features]]` into Parquet below a folder: read = used + rejected, for each of them.

    Args:
        dataset: names them.
        project_ids: who can have a vector.
        folder: to write to.

    Returns:
        Tables `user_embeddings` and `user_embeddings_rejected`, and for each set how many vectors
        were read, used and turned away, and how many projects have none.

    Raises:
        ConfigError: a file is not there, or a key that its format needs.
        DataError: a file is not what its name says, or vectors differ in length.
    """
    used, rejected = folder / "user_embeddings.parquet", folder / "user_embeddings_rejected.parquet"
    summary: dict[str, float | str] = {"feature_sets": len(dataset.features)}
    with pq.ParquetWriter(used, _USED) as kept, pq.ParquetWriter(rejected, _REJECTED) as turned:
        for features in dataset.features:
            counts = _export(dataset, features, project_ids, kept, turned)
            name = feature_set_name(features)
            summary |= {
                f"{name} vectors read": counts.read,
                f"{name} vectors used": counts.used,
                f"{name} vectors rejected": counts.read - counts.used,
                f"{name} dimensions": counts.dimensions,
                f"{name} projects without a vector": len(project_ids) - counts.used,
            }
            for reason, n in sorted(counts.by_reason.items()):
                summary[f"{name} {reason}"] = n
    tables = {
        file.stem: f"SELECT * FROM read_parquet({path_literal(file)})" for file in (used, rejected)
    }
    return Loaded(tables, summary)


def batches(dataset: Dataset, features: Features, file: Path) -> Iterator[Batch]:
    """The rows of a file, in order.

    Raises:
        ConfigError, DataError: as export_features.
    """
    bare = file.with_suffix("") if file.suffix == ".gz" else file
    name = features.format or _FORMATS.get(bare.suffix.lower())
    if name is None:
        raise ConfigError(
            f"{file}: the suffix {bare.suffix!r} does not say how vectors are written. Expected "
            f"one of {', '.join(_FORMATS)}, or format in [[features]] of {dataset.path}: parquet, "
            "npy or records."
        )
    if name == "records":
        return _records(dataset, features, file)
    if file.suffix == ".gz":
        raise ConfigError(f"{file}: {name} is not read through gzip. Unpack it.")
    return _parquet(features, file) if name == "parquet" else _matrix(dataset, features, file)


def _export(
    dataset: Dataset,
    features: Features,
    project_ids: set[str],
    kept: pq.ParquetWriter,
    turned: pq.ParquetWriter,
) -> _Counts:
    counts, seen, name = _Counts(), set[str](), feature_set_name(features)
    for file in feature_files(dataset, features):
        row = 0
        for batch in batches(dataset, features, file):
            length = batch.vectors.shape[1]
            if counts.dimensions not in (0, length):
                raise DataError(
                    f"{file}: vectors of {name} have {counts.dimensions} numbers, from row "
                    f"{row + 1} on {length}. Expected one length for all: split them into two "
                    "[[features]]."
                )
            counts.dimensions = length
            finite = np.asarray(np.isfinite(batch.vectors).all(axis=1), dtype=np.bool_)
            something = np.asarray(batch.vectors.any(axis=1), dtype=np.bool_)
            good, bad = [], []
            for n, id_ in enumerate(batch.ids):
                reason = (
                    NO_SUCH_PROJECT if id_ not in project_ids
                    else NOT_FINITE if not finite[n]
                    else NOTHING if not something[n]
                    else REPEATED if id_ in seen
                    else None
                )  # fmt: skip
                if reason is None:
                    seen.add(id_)
                    good.append(n)
                else:
                    bad.append((file.name, row + n + 1, reason, id_))
                    counts.by_reason[reason] = counts.by_reason.get(reason, 0) + 1
            _write(kept, name, batch, good, features.name == dataset.in_place_of_covers)
            if bad:
                columns = list(map(list, zip(*bad, strict=True)))
                turned.write_table(pa.table(columns, schema=_REJECTED))
            row += len(batch.ids)
            counts.used += len(good)
        counts.read += row
    if counts.used == 0:
        raise DataError(
            f"None of the {counts.read:,} vectors of {name} can be used: "
            f"{', '.join(f'{r} ({n:,})' for r, n in counts.by_reason.items()) or 'no rows'}. Ids "
            f"are compared as text with project_id of [projects] in {dataset.path}."
        )
    return counts


def _write(
    writer: pq.ParquetWriter, name: str, batch: Batch, rows: list[int], in_place_of_covers: bool
) -> None:
    if not rows:
        return
    vectors = np.ascontiguousarray(batch.vectors[rows], dtype="<f4")
    lists = pa.ListArray.from_arrays(
        np.arange(0, vectors.size + 1, vectors.shape[1], dtype=np.int32), pa.array(vectors.ravel())
    )
    hashes = [hashlib.sha256(vector.tobytes()).hexdigest() for vector in vectors]
    ids = [batch.ids[row] for row in rows]
    named = [name] * len(rows), hashes, [in_place_of_covers] * len(rows)
    writer.write_table(pa.table([ids, *named, lists], schema=_USED))


def _records(dataset: Dataset, features: Features, file: Path) -> Iterator[Batch]:
    if features.dimensions is None:
        raise ConfigError(
            f"features {features.name!r} in {dataset.path} are records and need dimensions, the "
            "number of floats of each: nothing in the file says it."
        )
    size = features.id_bytes + 4 * features.dimensions
    with _opened(file) as stream:
        row = 0
        while block := _read(stream, file, size * _ROWS_AT_ONCE):
            whole, left = divmod(len(block), size)
            if left:
                raise DataError(
                    f"{file} holds {row + whole:,} records of {size} bytes and {left} bytes more: "
                    f"it was cut off, or records are not of {features.id_bytes} bytes of id and "
                    f"{features.dimensions} floats. Copy it again, or correct id_bytes and "
                    f"dimensions in {dataset.path}."
                )
            bytes_ = np.frombuffer(block, dtype=np.uint8).reshape(whole, size)
            ids = [_id(raw.tobytes(), file, row + n) for n, raw in enumerate(
                bytes_[:, : features.id_bytes]
            )]  # fmt: skip
            floats = np.ascontiguousarray(bytes_[:, features.id_bytes :]).view("<f4")
            yield Batch(ids, floats.astype(np.float32))
            row += whole


def _id(raw: bytes, file: Path, row: int) -> str:
    try:
        return raw.rstrip(b"\0 ").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: the id of record {row + 1} is {raw!r}, expected text. Correct id_bytes and "
            "dimensions, or the file is another's."
        ) from error


def _opened(file: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(file) if file.suffix == ".gz" else file.open("rb")


def _read(stream: gzip.GzipFile | BufferedReader, file: Path, n: int) -> bytes:
    """So many bytes, fewer at the end alone."""
    parts, left = [], n
    try:
        while left and (part := stream.read(left)):
            parts.append(part)
            left -= len(part)
    except (EOFError, OSError) as error:
        raise DataError(f"{file} cannot be read to its end: {error}. Copy it again.") from error
    return b"".join(parts)


def _parquet(features: Features, file: Path) -> Iterator[Batch]:
    try:
        source = pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{file} cannot be read as parquet: {error}. Export it again, or correct format."
        ) from error
    names = source.schema_arrow.names
    for key in (features.id_column, features.vector_column):
        if key not in names:
            raise ConfigError(
                f"{file} has no column {key!r}, it has {', '.join(names)}. Name them by id_column "
                f"and vector_column of [[features]] {features.name!r}."
            )
    columns = [features.id_column, features.vector_column]
    for batch in source.iter_batches(_ROWS_AT_ONCE, columns=columns):
        ids, vectors = batch.column(0).cast(pa.string()).to_pylist(), batch.column(1)
        if vectors.null_count or None in ids:
            raise DataError(f"{file}: an id or a vector is null. Leave such rows out.")
        lengths = {len(vector) for vector in vectors}
        if len(lengths) != 1:
            raise DataError(
                f"{file}: vectors have {min(lengths)} to {max(lengths)} numbers, expected one "
                "length for all."
            )
        flat = vectors.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        yield Batch(ids, flat.reshape(len(ids), -1))


def _matrix(dataset: Dataset, features: Features, file: Path) -> Iterator[Batch]:
    try:
        matrix = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise DataError(
            f"{file} cannot be read as a NumPy matrix: {error}. Expected numbers without objects, "
            "as np.save writes them."
        ) from error
    listed = ids_file(dataset, features)
    ids = listed.read_text(encoding="utf-8").split("\n")
    ids = ids[:-1] if ids[-1] == "" else ids
    if matrix.ndim != 2 or len(matrix) != len(ids):
        raise DataError(
            f"{file} has shape {matrix.shape} and {listed} has {len(ids):,} ids. Expected a row "
            "for each id."
        )
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        stop = start + _ROWS_AT_ONCE
        rows = [id_.removesuffix("\r") for id_ in ids[start:stop]]
        yield Batch(rows, np.asarray(matrix[start:stop], dtype=np.float32))
