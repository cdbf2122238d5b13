"""Reading text line by line in Python, for files in which DuckDB's parser would lose lines.

DuckDB reads CSV many times faster, but a quote that never closes makes it skip what follows without
a word, and mixed line ends stop it. This reader accounts for every line: a quoted value may run
over several lines, and where a quote does not close within reach, its line alone is broken and
reading resumes at the next.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from cf_pipeline.errors import DataError
from cf_pipeline.sources.description import Encoding
from cf_pipeline.sources.files import Compression

MAX_LINES_PER_RECORD = 200
"""Over how many lines a quoted value may run before its quote counts as one that does not close."""


@dataclass(frozen=True)
class Dialect:
    """How values are told apart; `quote` and `escape` may be empty."""

    delimiter: str
    quote: str
    escape: str


@dataclass(frozen=True)
class Line:
    """One line of a file, from 1, without its end; `is_decoded` is False for wrong bytes."""

    number: int
    text: str
    is_decoded: bool


@dataclass(frozen=True)
class Record:
    """One row of a delimited file; `values` is None where the row is broken."""

    line: int
    text: str
    values: list[str] | None


class UnclosedQuoteError(Exception):
    """A quoted value has not ended where the text does."""


def numbered_lines(
    path: Path, compression: Compression, encoding: Encoding
) -> Generator[Line, None, None]:
    """The lines of a text file that are not empty.

    Raises:
        DataError: The compressed stream is damaged, or UTF-16 text cannot be decoded.
    """
    # Bytes that are not UTF-8 break their line, not the file; UTF-16 has no line to fall back on.
    errors = "surrogateescape" if encoding == "utf-8" else "strict"
    try:
        with (
            _open(path, compression) as stream,
            io.TextIOWrapper(stream, encoding=encoding, errors=errors, newline="\n") as text,
        ):
            for number, line in enumerate(text, start=1):
                bare = line.removesuffix("\n").removesuffix("\r")
                if number == 1:
                    bare = bare.removeprefix("\ufeff")
                if bare:
                    yield _checked(number, bare)
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as {encoding} text: {error}. Export it again, or correct "
            f"encoding in dataset.toml."
        ) from error


def records(lines: Iterator[Line], width: int, dialect: Dialect) -> Iterator[Record]:
    """Rows of a delimited file, each line in exactly one of them.

    Args:
        lines: The lines after the header.
        width: Number of columns; a row with another number is broken.
        dialect: How values are told apart.
    """
    waiting: deque[Line] = deque()
    while True:
        line = waiting.popleft() if waiting else next(lines, None)
        if line is None:
            return
        if not line.is_decoded:
            yield Record(line.number, line.text, None)
            continue
        try:
            values: list[str] | None = split_values(line.text, dialect)
        except UnclosedQuoteError:
            yield _joined(line, waiting, lines, width, dialect)
            continue
        if values is not None and len(values) != width:
            values = None
        yield Record(line.number, line.text, values)


def split_values(text: str, dialect: Dialect) -> list[str] | None:
    """The values of one row, or None where something stands beside a quoted value.

    Raises:
        UnclosedQuoteError: The row goes on in the next line, or a quote is missing.
    """
    if not dialect.quote or dialect.quote not in text:
        return text.split(dialect.delimiter)
    values: list[str] = []
    position = 0
    while True:
        end = text.find(dialect.delimiter, position)
        end = len(text) if end < 0 else end
        value = text[position:end]
        if value.lstrip(" ").startswith(dialect.quote):
            begin = position + value.index(dialect.quote) + 1
            value, end = _quoted_value(text, begin, dialect)
            # Spaces around the quotes are no part of the value, as DuckDB has it.
            end += len(text[end:]) - len(text[end:].lstrip(" "))
            if end < len(text) and not text.startswith(dialect.delimiter, end):
                return None
        values.append(value)
        if end >= len(text):
            return values
        position = end + len(dialect.delimiter)


def _quoted_value(text: str, begin: int, dialect: Dialect) -> tuple[str, int]:
    """A value from behind its opening quote, and the place behind its closing quote."""
    pieces: list[str] = []
    position = begin
    while position < len(text):
        character = text[position]
        following = text[position + 1 : position + 2]
        if (
            character == dialect.escape
            and following
            and following in dialect.quote + dialect.escape
        ):
            pieces.append(following)
            position += 2
        elif character == dialect.quote:
            return "".join(pieces), position + 1
        else:
            pieces.append(character)
            position += 1
    raise UnclosedQuoteError


def _joined(
    first: Line, waiting: deque[Line], lines: Iterator[Line], width: int, dialect: Dialect
) -> Record:
    """A row that runs over several lines; where it makes none, its first line is broken."""
    taken = [first]
    while len(taken) < MAX_LINES_PER_RECORD:
        if len(taken) > len(waiting):
            following = next(lines, None)
            if following is None:
                break
            waiting.append(following)
        line = waiting[len(taken) - 1]
        if not line.is_decoded:
            break
        taken.append(line)
        if dialect.quote not in line.text:
            continue
        text = _with_line_ends(taken)
        try:
            values = split_values(text, dialect)
        except UnclosedQuoteError:
            continue
        if values is None or len(values) != width:
            break
        for _ in taken[1:]:
            waiting.popleft()
        return Record(first.number, text, values)
    return Record(first.number, first.text, None)


def _with_line_ends(lines: list[Line]) -> str:
    """Lines put together again; empty lines between them come back by their numbers."""
    text = lines[0].text
    for before, line in pairwise(lines):
        text += "\n" * (line.number - before.number) + line.text
    return text


def _checked(number: int, text: str) -> Line:
    if text.isascii():
        return Line(number, text, True)
    try:
        text.encode()
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogateescape")
        return Line(number, raw.decode("utf-8", "replace"), False)
    return Line(number, text, True)


def _open(path: Path, compression: Compression) -> BinaryIO:
    if compression == "gzip":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if compression == "zstd":
        return cast(BinaryIO, io.BufferedReader(pa.input_stream(str(path), compression="zstd")))
    return path.open("rb")
