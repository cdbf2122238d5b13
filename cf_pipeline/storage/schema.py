"""What a table is.

A declaration is data: name, DuckDB type, description with its unit, vocabulary. Vectors have a
type of their own, `FLOAT[n]`: the n is not declared but taken from the rows at write time, since
it follows from the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

VECTOR = "FLOAT[n]"
"""A vector column whose rows have one length: stored as a fixed-size ARRAY, FLOAT[128]."""
LIST = "FLOAT[]"
"""A vector column whose rows differ in length, since feature sets of several sizes share it."""
ANY_PATH = "<module>:<name>"
"""In a vocabulary: the path of a class outside, as `registry.DOTTED` has it."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: the column's name.
        type: a DuckDB type, or VECTOR.
        description: what it holds, with its unit.
        vocabulary: the only words allowed; `prefix<name>` stands for all that begin so and
            ANY_PATH for paths; None allows any word.
        nullable: whether a row may go without a value.
        in_version: whether a change of it is a change of the data (a path is not).
    """

    name: str
    type: str
    description: str
    vocabulary: frozenset[str] | None = None
    nullable: bool = True
    in_version: bool = True

    @property
    def is_vector(self) -> bool:
        """Whether each row holds a vector of floats."""
        return self.type in {VECTOR, LIST}


def required(
    name: str,
    type_: str,
    description: str,
    vocabulary: frozenset[str] | None = None,
    in_version: bool = True,
) -> Column:
    """A column in which every row has a value; arguments as of `Column`."""
    return Column(name, type_, description, vocabulary, nullable=False, in_version=in_version)


@dataclass(frozen=True)
class Table:
    """One table of the warehouse.

    Attributes:
        name: the table's name.
        description: what one row is.
        columns: the columns, in the order in which they are stored.
        key: the columns that tell rows apart; empty where equal rows are allowed.
        scope: the column whose value a write replaces, leaving rows of other values; None where
            a write replaces the whole table.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    scope: str | None = None

    def empty_sql(self) -> str:
        """A query that gives the columns and no row."""
        types = {VECTOR: "FLOAT[1]"}
        columns = (f"NULL::{types.get(c.type, c.type)} AS {c.name}" for c in self.columns)
        return f"SELECT {', '.join(columns)} WHERE false"

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that put rows in the one order in which they are read and hashed."""
        return self.key or tuple(column.name for column in self.columns)
