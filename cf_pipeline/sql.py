"""The few pieces of SQL that are put together from names and values."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL value."""
    return "'" + text.replace("'", "''") + "'"


def columns_sql(names: Iterable[str]) -> str:
    """Names as a list of columns."""
    return ", ".join(quoted(name) for name in names)


def equals(column: str, value: str) -> str:
    """The condition that a column has a value."""
    return f"{quoted(column)} = {literal(value)}"


def written_as(column: str, pattern: str | None, place: str) -> str:
    """The condition that a column is a pattern with some name in it; no pattern: none is.

    Args:
        column: of text.
        pattern: such as `board:{board}`.
        place: where the name stands in it, `{board}`.
    """
    if pattern is None:
        return "false"
    before, _, after = pattern.partition(place)
    name = quoted(column)
    return f"starts_with({name}, {literal(before)}) AND ends_with({name}, {literal(after)})"


def path_literal(path: Path) -> str:
    """A path as an SQL value; brackets and stars in a file's own name are no pattern."""
    return literal("".join(f"[{c}]" if c in "*?[" else c for c in str(path)))
