"""Features of picture files from anywhere, written to a file as they are computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from cf_pipeline.errors import DataError
from cf_pipeline.models.embedder import Embedder
from cf_pipeline.models.exporting import FileFormat, format_of, write_vectors
from cf_pipeline.storage.whole import whole
from cf_pipeline.vectors import Indices, Matrix, Progress, silent

FILES_AT_ONCE = 2048
"""What is held in memory before it is written; a row group of the Parquet file."""


@dataclass(frozen=True)
class EmbeddedFiles:
    """What was written.

    Attributes:
        n_read: pictures with features.
        unreadable: files without, with the reason.
        files: that were written.
    """

    n_read: int
    unreadable: dict[Path, str]
    files: tuple[Path, ...]


def pictures_in(given: Sequence[Path]) -> list[Path]:
    """Files as they were named, and below folders all that are named as pictures are, sorted.

    Each once, however often it was named.

    Raises:
        DataError: a path is not there, or there is no picture at all.
    """
    from cf_pipeline.vision.decoding import suffixes

    known = suffixes()
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in known and p.is_file())
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path} is not there. Expected picture files, or folders of them.")
    if not found:
        folders = ", ".join(map(str, given))
        raise DataError(f"no picture below {folders}: no file ends with one of {', '.join(known)}.")
    return list(dict.fromkeys(found))


def embed_files(
    embedder: Embedder,
    files: Sequence[Path],
    out: Path,
    file_format: FileFormat | None = None,
    progress: Progress = silent,
) -> EmbeddedFiles:
    """Write features of picture files; what cannot be read stands there with its reason.

    Parquet has `path, status, reason, model_version, collaborative, features, predicted_factors`,
    vectors null where status is `unreadable`. `npy` has `collaborative` of the pictures that could
    be read, float32 (n, d), and a CSV file beside it has their paths, row by row.

    Args:
        embedder: whose features.
        files: pictures, each once; no folders.
        out: the file, written whole or not at all.
        file_format: None: as the suffix says.
        progress: hears of files done.

    Raises:
        ConfigError: neither the suffix nor the format says what to write, or they differ.
        DataError: `out` cannot be written.
    """
    chosen = format_of(out, file_format)
    unreadable: dict[Path, str] = {}
    parts = _tables(embedder, files, progress, unreadable)
    try:
        if chosen == "npy":
            table = pl.concat(parts).filter(status="ok").drop("status", "reason")
            written = write_vectors(table, out, chosen)
        else:
            written = _write_parquet(parts, out)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error}. Choose another place.") from error
    return EmbeddedFiles(len(files) - len(unreadable), unreadable, written)


def _tables(
    embedder: Embedder, files: Sequence[Path], progress: Progress, unreadable: dict[Path, str]
) -> Iterator[pl.DataFrame]:
    """Rows of some files at a time; puts what cannot be read into `unreadable`."""
    for start in range(0, len(files), FILES_AT_ONCE):
        some = files[start : start + FILES_AT_ONCE]

        def onwards(done: int, total: int, figures: dict[str, float], start: int = start) -> None:
            progress(start + done, len(files), figures)

        found = embedder.place_readable(some, onwards)
        told = {row: _encodable(reason) for row, reason in found.reasons.items()}
        unreadable |= {some[row]: reason for row, reason in told.items()}
        reasons = [told.get(row) for row in range(len(some))]
        yield pl.DataFrame({
            "path": [_encodable(str(path)) for path in some],
            "status": ["unreadable" if reason else "ok" for reason in reasons],
            "reason": pl.Series(reasons, dtype=pl.String),
            "model_version": embedder.version,
            **{n: _column(len(some), found.rows, matrix) for n, matrix in found.vectors.items()},
        })


def _encodable(text: str) -> str:
    """As a column of text can hold it: bytes of a path that are no UTF-8 become a question mark."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _column(n: int, rows: Indices, matrix: Matrix) -> pl.Series:
    """A matrix as a column of n rows, null but for the rows it belongs to."""
    place = np.full(n, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    vectors = pl.Series(matrix, dtype=pl.Array(pl.Float32, matrix.shape[1]))
    gathered = pl.Series([p if p >= 0 else None for p in place.tolist()], dtype=pl.UInt32)
    return vectors.gather(gathered)


def _write_parquet(parts: Iterator[pl.DataFrame], out: Path) -> tuple[Path, ...]:
    with whole(out) as beside:
        writer: pq.ParquetWriter | None = None
        try:
            for part in parts:
                rows = part.to_arrow()
                writer = writer or pq.ParquetWriter(beside, rows.schema)
                writer.write_table(rows)
        finally:
            if writer is not None:
                writer.close()
    return (out,)
