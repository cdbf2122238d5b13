"""Checks: declared where they are computed, asked where rows are written.

A check is a function of a room that judges rows and returns a Verdict. Its decorator says which
rows it is handed, as SQL by parameter, and whether failing turns the rows away. A verdict is an
answer, not an exception: data can be unsound without the program being wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cf_pipeline.errors import DataError
from cf_pipeline.sql import literal

if TYPE_CHECKING:
    import duckdb

Facts = Mapping[str, float | int | str]
"""Figure by name; shares are fractions of 1, and nothing is NaN or infinite."""


@dataclass(frozen=True)
class Verdict:
    """One judgement.

    Attributes:
        passed: whether the data are sound in this respect.
        message: what was expected, what came and, where it failed, what to do.
        facts: the figures the judgement went by.
    """

    passed: bool
    message: str
    facts: Facts

    @classmethod
    def of(cls, problems: Sequence[str], sound: str, facts: Facts) -> Verdict:
        """Passes with the message `sound` unless there are problems, whose sentences it joins."""
        return cls(not problems, " ".join(problems) or sound, facts)


@dataclass(frozen=True)
class Check:
    """One check of an asset; called, it judges rows at hand.

    Attributes:
        judge: from frames to a verdict.
        rows: parameter of it to the SELECT whose rows it is handed; `$scope` stands for the model
            version that was written, in tables that keep several.
        blocking: whether failing rolls the write back; else it is a warning.
    """

    judge: Callable[..., Verdict]
    rows: Mapping[str, str]
    blocking: bool = True

    @property
    def name(self) -> str:
        """In the UI."""
        return self.judge.__name__

    @property
    def description(self) -> str:
        """What it looks for."""
        return inspect.getdoc(self.judge) or ""

    def __call__(self, *rows: object, **named: object) -> Verdict:
        """Judge rows that are at hand."""
        return self.judge(*rows, **named)

    def look(self, connection: duckdb.DuckDBPyConnection, scope: str | None) -> Verdict:
        """Judge rows of an open connection."""
        frames = {
            parameter: connection.sql(query.replace("$scope", literal(scope or ""))).pl()
            for parameter, query in self.rows.items()
        }
        return self.judge(**frames)


def check(blocking: bool = True, **rows: str) -> Callable[[Callable[..., Verdict]], Check]:
    """Declare a check where it is computed; arguments as of `Check`."""
    return lambda judge: Check(judge, rows, blocking)


class CheckFailedError(DataError):
    """A blocking check turned rows away."""


class Verdicts:
    """Runs the checks of an asset and remembers what they said."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = checks
        self.said: list[tuple[Check, Verdict]] = []

    @property
    def written(self) -> dict[str, dict[str, object]]:
        """What was said, to be kept with the rows that it is about."""
        return {
            one.name: {**vars(verdict), "facts": dict(verdict.facts)} for one, verdict in self.said
        }

    def remember(self, written: Mapping[str, Mapping[str, Any]]) -> bool:
        """Say again what was said of rows that stand; False where a check was not asked then."""
        if not all(one.name in written for one in self._checks):
            return False
        self.said = [(one, Verdict(**written[one.name])) for one in self._checks]
        return True

    def look(self, asset: str, connection: duckdb.DuckDBPyConnection, scope: str | None) -> None:
        """Ask every check.

        Raises:
            CheckFailedError: a blocking one failed.
        """
        self.said = [(one, one.look(connection, scope)) for one in self._checks]
        failed = [
            f"{one.name}: {verdict.message}"
            for one, verdict in self.said
            if one.blocking and not verdict.passed
        ]
        if failed:
            raise CheckFailedError(
                f"{asset} was not written, what was there before stays. " + " ".join(failed)
            )
