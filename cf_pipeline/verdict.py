"""What a check says about data: whether it is sound, in words, and the figures it went by.

Rooms judge what they make and return a Verdict; who asked decides whether failing stops anything.
A verdict is an answer, not an exception: data can be unsound without the program being wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
