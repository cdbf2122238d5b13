"""How a text file is written, guessed from its beginning: encoding, delimiter, quotes, header.

DuckDB's own guess needs to know the encoding, and takes no delimiter of two characters. A guess:
`cf-pipeline init` writes it down where its reader can put it right, and reading itself
never guesses.
"""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pyarrow as pa

from cf_pipeline.sources.description import Encoding, FormatName, TableFiles

_SAMPLE_BYTES = 256_000
_SAMPLE_LINES = 300
_DELIMITERS = ("\t", "::", ";", "|", ",", " ")
"""In the order of preference among those that split all lines alike."""
_TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".log")


def guessed(path: Path, pattern: str) -> TableFiles | None:
    """How to read a file, or None where it is no table that can be told.

    Args:
        path: the file.
        pattern: what `files` is to say.
    """
    compressed = path.suffix.lower() in (".gz", ".zst")
    bare = path.with_suffix("") if compressed else path
    suffix = bare.suffix.lower()
    if suffix in (".parquet", ".pq", ".jsonl", ".ndjson"):
        return TableFiles(files=(pattern,))
    if suffix not in _TEXT_SUFFIXES and not (suffix == "" and compressed):
        return None
    encoding, lines = _beginning(path)
    if len(lines) < 2:
        return None
    found = _delimiter(lines)
    if found is None:
        return None
    delimiter, n_columns = found
    quote = '"' if any(_is_quoted(line, delimiter) for line in lines) else ""
    escape = "\\" if quote and any('\\"' in line for line in lines) else None
    rows = [row for row in _rows(lines, delimiter, quote, escape) if len(row) == n_columns]
    has_header = _has_header(rows)
    names = None if has_header else tuple(f"column{n + 1}" for n in range(n_columns))
    said: FormatName | None = "tsv" if delimiter == "\t" else "csv"
    by_suffix = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv"}.get(suffix)
    usual = "\t" if said == "tsv" else ","
    return TableFiles(
        files=(pattern,),
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
    lines = text.splitlines()
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
    """The one that cuts most lines into equally many parts, and how many."""
    best: tuple[float, int, str, int] | None = None
    for rank, delimiter in enumerate(_DELIMITERS):
        for escape in (None, "\\"):
            counts = [len(row) for row in _rows(lines, delimiter, '"', escape)]
            usual = max(set(counts), key=counts.count)
            share = counts.count(usual) / len(counts)
            if usual > 1 and share >= 0.9:
                better = (round(share, 2), -rank, delimiter, usual)
                best = max(best, better) if best else better
    return (best[2], best[3]) if best else None


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


def _is_quoted(line: str, delimiter: str) -> bool:
    return any(
        len(part) > 1 and part[0] == part[-1] == '"' for part in line.strip().split(delimiter)
    ) or (line.startswith('"') or f'{delimiter}"' in line)


def _has_header(rows: list[list[str]]) -> bool:
    """Words that no row below repeats."""
    first, below = rows[0], rows[1:]
    if any(not cell.strip() or _is_number(cell) for cell in first) or len(set(first)) < len(first):
        return False
    return not any(first[n] == row[n] for row in below for n in range(len(first)))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
