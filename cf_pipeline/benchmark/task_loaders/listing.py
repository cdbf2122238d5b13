"""What readers of lists share: lines of a text file, and names of files as folders hold them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from cf_pipeline.errors import DataError

IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"
})  # fmt: skip
_ENCODINGS = ("latin-1", "cp1252")
"""As which UTF-8 is read by mistake, and then written as UTF-8 once more."""


def lines_of(file: Path, expected: str) -> list[str]:
    """Lines of a text file without their ends, of Windows' sort, too; bytes that are no UTF-8 stay.

    Args:
        file: to be read.
        expected: what it is, for messages.

    Raises:
        DataError: there is none, it cannot be read, or it is empty.
    """
    try:
        text = os.fsdecode(file.read_bytes())
    except OSError as error:
        raise DataError(
            f"{file}: expected {expected}, it cannot be read: {error.strerror}. Put the file "
            "there, or correct benchmark.tasks."
        ) from error
    # Not splitlines, which also divides at characters that names may hold.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{file}: expected {expected}, it is empty. Download it again.")
    return lines


def in_two(file: Path, expected: str, separator: str | None) -> Iterator[tuple[str, str]]:
    """Two words a line, parted where the separator stands last.

    Raises:
        DataError: as lines_of, or a line is not two words.
    """
    for number, line in enumerate(lines_of(file, expected), start=1):
        words = line.rsplit(separator, 1)
        if len(words) != 2 or not all(word.strip() for word in words):
            raise DataError(
                f"{file}, line {number}: expected {expected}, came {line[:80]!r}. Correct the "
                "line, or download the list again."
            )
        yield words[0].strip(), words[1].strip()


def listed(rows: Sequence[tuple[str, str, list[str], str | None]]) -> pl.DataFrame:
    """Rows of `image_id, path, labels, split` as a loader hands them back.

    A file name whose bytes are no UTF-8 cannot stand in a table, and an image counts once.
    """
    table = pl.DataFrame(
        {
            "image_id": [_text(image) for image, _, _, _ in rows],
            "path": [None if _is_odd(path) else path for _, path, _, _ in rows],
            "labels": [labels for _, _, labels, _ in rows],
            "split": [split for _, _, _, split in rows],
        },
        schema={
            **dict.fromkeys(("image_id", "path"), pl.String),
            "labels": pl.List(pl.String),
            "split": pl.String,
        },
    )
    table = table.with_columns(
        reason=pl
        .when(pl.col("path").is_null())
        .then(pl.lit("expected a file name in UTF-8. Rename the file, and in the list"))
        .when(~pl.col("image_id").is_first_distinct())
        .then(pl.lit("expected every image once, this one is listed before"))
    )
    return table.drop("split") if table["split"].is_null().all() else table


class FilesByName:
    """Finds files below a folder whose names are written in another way than on disk.

    Lists travel through archives and systems that change names: accents composed or apart, UTF-8
    taken for Latin-1 and encoded again. A name as its bytes stand comes first; what differs in no
    other way is the same file, unless several would do.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, dict[str, list[str]]] = {}

    def find(self, name: str) -> Path:
        """Where the file of a list is; as it is written where no file fits."""
        written = self._folder / name
        if name.isascii() or os.path.lexists(written):
            return written
        place, _, base = name.rpartition("/")
        fitting = self._in(place).get(_plain(base), [])
        return self._folder / place / fitting[0] if len(fitting) == 1 else written

    def _in(self, place: str) -> dict[str, list[str]]:
        if place not in self._known:
            names: dict[str, list[str]] = {}
            folder = self._folder / place
            for name in sorted(os.listdir(folder)) if folder.is_dir() else []:
                if not name.isascii():
                    names.setdefault(_plain(name), []).append(name)
            self._known[place] = names
        return self._known[place]


def _plain(name: str) -> str:
    """A name with every doubled encoding undone, accents composed."""
    for _ in range(3):
        for encoding in _ENCODINGS:
            try:
                undone = unicodedata.normalize("NFC", name).encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
            if undone != name:
                name = undone
                break
        else:
            break
    return unicodedata.normalize("NFC", name)


def _is_odd(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _text(name: str) -> str:
    """A name that a table can hold; bytes that are no UTF-8 are written out."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")
