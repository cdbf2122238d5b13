"""The content version: a hash of the rows of tables, not of how they are stored.

Rows are put in the order of the table's key and streamed as Arrow; every column is fed to its own
SHA-256 as missing-value marks, lengths and plain little-endian values, so neither the order in
which rows were written, nor DuckDB's way to print a number, nor the size of a batch matters. A
null is no empty text, an empty list is no null, and -0.0 is 0.0. Integers are hashed as 64 bits
and lists as arrays are, so widening a column is no change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cf_pipeline.errors import DataError
from cf_pipeline.sql import columns_sql, equals, quoted
from cf_pipeline.storage.schema import Table

_ROWS_PER_BATCH = 65_536
_VERSION_LENGTH = 32


def content_version(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[Table], scope: str | None = None
) -> str:
    """The version of the rows of some tables together, 32 hexadecimal digits.

    Args:
        connection: where the tables stand.
        tables: which ones; columns with `in_version=False` do not count.
        scope: of scoped tables, only rows with this value in the scope column count.
    """
    digest = hashlib.sha256()
    for table in sorted(tables, key=lambda table: table.name):
        digest.update(_table_digest(connection, table, scope))
    return digest.hexdigest()[:_VERSION_LENGTH]


def _table_digest(connection: duckdb.DuckDBPyConnection, table: Table, scope: str | None) -> bytes:
    names = sorted(column.name for column in table.columns if column.in_version)
    order = [name for name in table.order if name in names]
    rows = f"SELECT {columns_sql(names)} FROM {quoted(table.name)}"
    if table.scope is not None and scope is not None:
        rows += f" WHERE {equals(table.scope, scope)}"
    rows += " ORDER BY " + ", ".join(f"{quoted(name)} ASC NULLS FIRST" for name in order)
    hashes = [_ColumnHash() for _ in names]
    n_rows = 0
    for batch in connection.sql(rows).to_arrow_reader(_ROWS_PER_BATCH):
        n_rows += batch.num_rows
        for column, hash_ in zip(batch.columns, hashes, strict=True):
            hash_.update(column)
    digest = hashlib.sha256(f"{table.name}\n{n_rows}\n".encode())
    for name, hash_ in zip(names, hashes, strict=True):
        digest.update(f"{name}\n".encode() + hash_.digest())
    return digest.digest()


class _ColumnHash:
    """Hash of one column, fed in batches; the cuts between batches leave no trace."""

    def __init__(self) -> None:
        self._present = hashlib.sha256()
        self._lengths = hashlib.sha256()
        self._values = hashlib.sha256()
        self._items: _ColumnHash | None = None
        self._n_items = 0

    def update(self, column: Any) -> None:
        """Feed an Arrow array of text, lists, floats, booleans, integers or timestamps."""
        self._present.update(_bytes(pc.is_valid(column).cast(pa.uint8()), np.uint8))
        kind = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            text = column.cast(pa.large_string()).fill_null("")
            self._lengths.update(_bytes(pc.binary_length(text), np.int64))
            self._values.update(_text_bytes(text))
        elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            self._lengths.update(_bytes(pc.list_value_length(column).fill_null(0), np.int64))
            items = column.flatten()
            self._n_items += len(items)
            self._items = self._items or _ColumnHash()
            self._items.update(items)
        elif pa.types.is_floating(kind):
            width = np.float32 if pa.types.is_float32(kind) else np.float64
            self._values.update(_bytes(column.fill_null(0.0), width))
        elif pa.types.is_boolean(kind):
            self._values.update(_bytes(column.fill_null(False).cast(pa.uint8()), np.uint8))
        elif pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
            self._values.update(_bytes(column.cast(pa.int64()).fill_null(0), np.int64))
        else:
            raise DataError(
                f"a column of type {kind} has no content version: expected text, numbers, "
                "booleans, timestamps, or lists of them. Declare the column as one of these."
            )

    def digest(self) -> bytes:
        """32 bytes that stand for all that was fed."""
        parts = self._present.digest() + self._lengths.digest() + self._values.digest()
        if self._items is not None and self._n_items:
            parts += self._items.digest()
        return hashlib.sha256(parts).digest()


def _bytes(column: Any, dtype: npt.DTypeLike) -> bytes:
    """The values of an Arrow array without nulls, little-endian; adding 0 makes -0.0 to 0.0."""
    values = np.asarray(column.to_numpy(zero_copy_only=False), dtype=dtype)
    values = values + np.zeros(1, dtype)
    return bytes(values.astype(np.dtype(dtype).newbyteorder("<"), copy=False).data)


def _text_bytes(text: Any) -> memoryview | bytes:
    """The UTF-8 of all the texts of an Arrow large_string array, one after the other."""
    _, offsets, data = text.buffers()
    if data is None or not len(text):
        return b""
    ends = np.frombuffer(offsets, dtype=np.int64)[text.offset : text.offset + len(text) + 1]
    return memoryview(data)[int(ends[0]) : int(ends[-1])]
