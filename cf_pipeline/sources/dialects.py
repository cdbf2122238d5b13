"""How a text file is written, guessed from its beginning: encoding, delimiter, quotes, header.

DuckDB's own guess needs to know the encoding, and takes no delimiter of two characters. A guess:
`cf-pipeline init` writes it down where its reader can put it right, and reading itself
never guesses.
"""

from __future__ import annotations

import csv
import gzip
import io
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from cf_pipeline.sources.description import Encoding, FormatName, TableFiles

_SAMPLE_BYTES = 256_000
_SAMPLE_LINES = 300
_DELIMITERS = ("\t", "::", ";", "|", ",")
"""In the order of preference among those that split equally well; a space where none does."""
_SHAPE_SHARE = 0.9
_TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".log")


def guessed(path: Path) -> TableFiles | None:
    """How to read a file, or None where it is no table that can be told."""
    files = (path.name,)
    compressed = path.suffix.lower() in (".gz", ".zst")
    bare = path.with_suffix("") if compressed else path
    suffix = bare.suffix.lower()
    if suffix in (".parquet", ".pq", ".jsonl", ".ndjson"):
        return TableFiles(files=files)
    if suffix not in _TEXT_SUFFIXES and not (suffix == "" and compressed):
        return None
    encoding, lines = _beginning(path)
    if len(lines) < 2:
        return None
    found = _delimiter(lines)
    if found is None:
        return None
    delimiter, n_columns = found
    quote = _quote(lines, delimiter, n_columns)
    escape = "\\" if quote and any('\\"' in line for line in lines) else None
    rows = [row for row in _rows(lines, delimiter, quote, escape) if len(row) == n_columns]
    has_header = _has_header(rows)
    names = None if has_header else tuple(f"column{n + 1}" for n in range(n_columns))
    said: FormatName | None = "tsv" if delimiter == "\t" else "csv"
    by_suffix = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv"}.get(suffix)
    usual = "\t" if said == "tsv" else ","
    return TableFiles(
        files=files,
        format=None if said == by_suffix else said,
        delimiter=None if delimiter == usual else delimiter,
        quote=quote,
        escape=escape,
        encoding=encoding,
        header=has_header,
        names=names,
    )


def _beginning(path: Path) -> tuple[Encoding, list[str]]:
    """Encoding and whole lines, of which the last may have been cut and is left out."""
    raw = _raw(path)
    encoding: Encoding = "utf-8"
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
        text = raw[: len(raw) // 2 * 2].decode("utf-16", errors="replace")
    else:
        try:
            # A character may have been cut in two at the end.
            io.TextIOWrapper(io.BytesIO(raw[: raw.rfind(b"\n") + 1]), encoding="utf-8").read()
        except UnicodeDecodeError:
            encoding = "latin-1"
        text = raw.decode(encoding, errors="replace").lstrip("\ufeff")
    # Not splitlines, which cuts at \x85 and U+2028, too.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(raw) >= _SAMPLE_BYTES:
        lines = lines[:-1]
    return encoding, [line for line in lines[:_SAMPLE_LINES] if line.strip()]


def _raw(path: Path) -> bytes:
    if path.suffix.lower() == ".zst":
        with pa.input_stream(str(path), compression="zstd") as stream:
            return bytes(stream.read(_SAMPLE_BYTES))
    if path.suffix.lower() == ".gz":
        with gzip.open(path) as zipped:
            return zipped.read(_SAMPLE_BYTES)
    with path.open("rb") as file:
        return file.read(_SAMPLE_BYTES)


def _delimiter(lines: list[str]) -> tuple[str, int] | None:
    """The one that cuts most lines into as many parts as the first, and how many."""
    found: list[tuple[float, int, int, str]] = []
    for rank, delimiter in enumerate(_DELIMITERS):
        found += _splits(lines, delimiter, rank)
    found = found or _splits(lines, " ", 0)
    if not found:
        return None
    _, n_columns, _, delimiter = max(found)
    return delimiter, n_columns


def _splits(lines: list[str], delimiter: str, rank: int) -> list[tuple[float, int, int, str]]:
    """Share of lines cut alike, columns, minus rank, delimiter; for each way to escape quotes."""
    found = []
    for escape in (None, "\\"):
        counts = [len(row) for row in _rows(lines, delimiter, '"', escape)]
        share = counts.count(counts[0]) / len(counts)
        if counts[0] > 1 and share >= 0.9:
            found.append((share, counts[0], -rank, delimiter))
    return found


def _quote(lines: list[str], delimiter: str, n_columns: int) -> str:
    """Quotes are quotes, also where none is met so soon, unless lines are cut worse by them."""
    if len(delimiter) > 1:
        return ""
    with_quotes = max(
        sum(len(row) == n_columns for row in _rows(lines, delimiter, '"', escape))
        for escape in (None, "\\")
    )
    without = sum(len(row) == n_columns for row in _rows(lines, delimiter, "", None))
    return '"' if with_quotes >= without else ""


def _rows(lines: list[str], delimiter: str, quote: str, escape: str | None) -> list[list[str]]:
    if len(delimiter) > 1:
        return [line.split(delimiter) for line in lines]
    return list(
        csv.reader(
            lines,
            delimiter=delimiter,
            quotechar=quote or None,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
            escapechar=escape,
            doublequote=escape is None,
        )
    )


def _has_header(rows: list[list[str]]) -> bool:
    """Words that no row below repeats, and that do not look like what stands below them.

    The first may be empty: pandas writes the column of row numbers so.
    """
    first, below = rows[0], rows[1:]
    named = first[1:] if not first[0].strip() and len(first) > 2 else first
    if any(not cell.strip() or _is_number(cell) for cell in named) or len(set(first)) < len(first):
        return False
    for n, cell in enumerate(first):
        if any(cell == row[n] for row in below):
            return False
        shape = _shape(cell)
        alike = sum(_shape(row[n]) == shape for row in below)
        if "0" in shape and below and alike >= _SHAPE_SHARE * len(below):
            return False
    return True


def _shape(text: str) -> str:
    """Digits as 0 and letters as a, each run once: w0123 is a0."""
    marks = ("0" if c.isdigit() else "a" if c.isalpha() else c for c in text)
    return "".join(mark for mark, _ in groupby(marks))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
