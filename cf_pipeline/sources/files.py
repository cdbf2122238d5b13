"""Finding the files that a data set names, and checking that each is what its name says.

Names are expanded here (globs, `${VARIABLES}`, `~`) and nowhere else. The first bytes of a file
decide whether it is what its suffix promises; a zstd stream is walked block by block, since DuckDB
takes one that was cut off for a short one.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.sources.description import Encoding, Features, FormatName, TableFiles

Compression = Literal["none", "gzip", "zstd"]

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_FORMATS: dict[str, FormatName] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_PARQUET_MAGIC = b"PAR1"
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class FileFormat:
    """How a file is written: the table's format and the compression around it."""

    name: FormatName
    compression: Compression


def interaction_files(dataset: Dataset) -> list[Path]:
    """The files of `[interactions]`, absolute, sorted, each once.

    Raises:
        ConfigError: A pattern matches nothing, or a variable is not set.
    """
    return _matching_files(dataset, "interactions", dataset.interactions)


def project_files(dataset: Dataset) -> list[Path]:
    """The files of `[projects]`, absolute, sorted, each once.

    Raises:
        ConfigError: A pattern matches nothing, or a variable is not set.
    """
    return _matching_files(dataset, "projects", dataset.projects)


def feature_files(dataset: Dataset, features: Features) -> list[Path]:
    """The files of one of `[[features]]`, absolute, sorted, each once.

    Raises:
        ConfigError: A pattern matches nothing, or a variable is not set.
    """
    return _matching_files(dataset, f"features {features.name!r}", features)


def ids_file(dataset: Dataset, features: Features) -> Path:
    """The file of ids beside a matrix of vectors.

    Raises:
        ConfigError: It is not named or not there.
    """
    key = f"features {features.name!r}: ids"
    if features.ids is None:
        raise ConfigError(
            f"{key} is missing in {dataset.path}: a matrix does not say whose its rows are. "
            "Expected a text file with an id a line."
        )
    path = _expand(dataset, key, features.ids)
    if not path.is_file():
        raise ConfigError(f"{key} = {features.ids!r} in {dataset.path}: there is no file {path}.")
    return path


def covers_folder(dataset: Dataset) -> Path:
    """The folder of covers.

    Raises:
        ConfigError: It is not there, is no folder, or a variable is not set.
    """
    if dataset.covers is None:
        raise ConfigError(
            f"{dataset.path} has no [covers]: it names vectors in their place, and no pictures."
        )
    folder = _expand(dataset, "covers.folder", dataset.covers.folder)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ConfigError(
            f"The cover folder {folder} {what} (covers.folder = {dataset.covers.folder!r} in "
            f"{dataset.path}). Expected a folder of pictures: put it there or change covers.folder."
        )
    return folder


def cover_paths(dataset: Dataset, covers: Sequence[str]) -> list[Path]:
    """Where covers lie; whether each is there is for the reader of pictures to find out.

    An absolute path is taken when it lies below the folder. Links inside the folder are followed.

    Args:
        dataset: The data set.
        covers: Values of the column `cover`, shape (n,).

    Raises:
        ConfigError: The cover folder is not there.
        DataError: A path leads out of the folder.
    """
    folder = covers_folder(dataset)
    inside = os.path.join(folder, "")
    paths = [os.path.normpath(os.path.join(folder, cover)) for cover in covers]
    outside = [
        cover for cover, path in zip(covers, paths, strict=True) if path[: len(inside)] != inside
    ]
    if outside:
        shown = ", ".join(repr(cover) for cover in outside[:3])
        raise DataError(
            f"{len(outside)} of {len(covers)} covers lead out of the cover folder {folder}: "
            f"{shown}. "
            f"Expected paths below it: correct projects.columns.cover, a column or an expression, "
            f"or let covers.folder in {dataset.path} name a folder that holds them all."
        )
    return [Path(path) for path in paths]


def format_of(path: Path, table: TableFiles) -> FileFormat:
    """Format and compression of a file, from its suffixes and the key `format`.

    Raises:
        ConfigError: The suffix is unknown and there is no key `format`.
    """
    compression = _COMPRESSIONS.get(path.suffix.lower(), "none")
    bare = path if compression == "none" else path.with_suffix("")
    name = table.format or _FORMATS.get(bare.suffix.lower())
    if name is None:
        raise ConfigError(
            f"{path}: the suffix {bare.suffix!r} does not say how it is written. Expected one of "
            f"{', '.join(_FORMATS)}, each also with .gz or .zst; or name it in dataset.toml: "
            f'format = "csv" (parquet, csv, tsv, jsonl).'
        )
    if name == "parquet" and compression != "none":
        raise ConfigError(
            f"{path}: Parquet compresses inside the file and cannot be read through {compression}. "
            f"Unpack it and name the .parquet file."
        )
    return FileFormat(name, compression)


def check_contents(path: Path, file_format: FileFormat, encoding: Encoding) -> None:
    """Check that a file is what its name says, from its first and last bytes.

    Raises:
        DataError: It is empty, unreadable, something else, or ends before its end.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(4096)
            file.seek(max(0, size - 4))
            tail = file.read(4)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Check its rights.") from error
    if size == 0:
        raise DataError(
            f"{path} is empty (0 bytes), expected {_expected(file_format)}. Export it again."
        )
    if file_format.compression == "gzip":
        _expect(head.startswith(_GZIP_MAGIC), path, file_format, head)
    elif file_format.compression == "zstd":
        _expect(head.startswith(_ZSTD_MAGIC), path, file_format, head)
        _check_zstd_complete(path)
    elif file_format.name == "parquet":
        is_parquet = size >= 12 and head.startswith(_PARQUET_MAGIC) and tail == _PARQUET_MAGIC
        _expect(is_parquet, path, file_format, head)
    else:
        possible = {"text", "binary data"} if encoding == "utf-16" else {"text"}
        _expect(_looks_like(head) in possible, path, file_format, head)


def _matching_files(dataset: Dataset, key: str, table: TableFiles | Features) -> list[Path]:
    found: set[Path] = set()
    for pattern in table.files:
        expanded = _expand(dataset, f"{key}.files", pattern)
        # A file whose own name holds a bracket is that file, not a pattern.
        matches = [expanded] if expanded.is_file() else _glob(expanded)
        if not matches:
            raise ConfigError(
                f"No file matches {pattern!r} ({key}.files in {dataset.path}): looked for "
                f"{expanded}. Put the file there or correct the pattern."
            )
        found.update(matches)
    # As unpacking may leave it: everything would count double.
    if twice := [f for f in found if f.suffix in (".gz", ".zst") and f.with_suffix("") in found]:
        raise ConfigError(
            f"{key}.files in {dataset.path} match {twice[0]} and the same unpacked. Name one alone."
        )
    return sorted(found)


def _glob(pattern: Path) -> list[Path]:
    return [Path(name) for name in glob.glob(str(pattern), recursive=True) if Path(name).is_file()]


def _expand(dataset: Dataset, key: str, text: str) -> Path:
    """A path as written, with variables, `~` and the data set's folder put in."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise ConfigError(
                f"{key} = {text!r} in {dataset.path} needs the environment variable {name}, "
                f"which is not set. Set it (export {name}=/a/folder) or write the path out."
            )
        return os.environ[name]

    expanded = Path(_VARIABLE.sub(value, text)).expanduser()
    return Path(os.path.normpath(dataset.root / expanded))


def _expect(holds: bool, path: Path, file_format: FileFormat, head: bytes) -> None:
    if not holds:
        raise DataError(
            f"{path} is not what its name says: expected {_expected(file_format)}, but it is not "
            f"one or was cut off; it begins like {_looks_like(head)} ({head[:8]!r}). "
            f"Export it again, rename it, or set format in dataset.toml."
        )


def _expected(file_format: FileFormat) -> str:
    if file_format.compression != "none":
        return f"a {file_format.compression} stream of {file_format.name}"
    if file_format.name == "parquet":
        return "a Parquet file (it begins and ends with the letters PAR1)"
    return f"{file_format.name} text"


def _looks_like(head: bytes) -> str:
    if head.startswith(_PARQUET_MAGIC):
        return "Parquet"
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    if head.startswith(_ZSTD_MAGIC):
        return "zstd"
    return "binary data" if b"\0" in head else "text"


def _check_zstd_complete(path: Path) -> None:
    """Walk the frames and blocks of a zstd stream by their headers only (RFC 8878)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            if not _skip_zstd_frame(file) or file.tell() > size:
                raise DataError(
                    f"{path} is cut off or damaged: expected a whole zstd stream, but its last "
                    f"block ends beyond the file. Copy or export it again."
                )


def _skip_zstd_frame(file: BinaryIO) -> bool:
    """Move past one frame; False where the file does not hold its headers."""
    magic = file.read(4)
    if len(magic) == 4 and 0x184D2A50 <= int.from_bytes(magic, "little") <= 0x184D2A5F:
        length = file.read(4)
        file.seek(int.from_bytes(length, "little"), os.SEEK_CUR)
        return len(length) == 4
    descriptor = file.read(1)
    if magic != _ZSTD_MAGIC or not descriptor:
        return False
    is_single_segment = descriptor[0] >> 5 & 1
    content_size_bytes = (is_single_segment, 2, 4, 8)[descriptor[0] >> 6]
    dictionary_id_bytes = (0, 1, 2, 4)[descriptor[0] & 3]
    file.seek(content_size_bytes + dictionary_id_bytes + 1 - is_single_segment, os.SEEK_CUR)
    is_last = False
    while not is_last:
        header = file.read(3)
        if len(header) < 3:
            return False
        number = int.from_bytes(header, "little")
        is_last = bool(number & 1)
        # A block of type 1 repeats a single byte; the others hold as many bytes as they say.
        file.seek(1 if number >> 1 & 3 == 1 else number >> 3, os.SEEK_CUR)
    file.seek(4 if descriptor[0] >> 2 & 1 else 0, os.SEEK_CUR)
    return True
