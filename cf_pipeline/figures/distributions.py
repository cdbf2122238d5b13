"""How much of what: degrees before and after pruning, values, projects by split.

Degrees are drawn as the number of users (or projects) with at least so many: on heavy tails the
curve stays readable where a histogram breaks up into single bars.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from cf_pipeline.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LABEL_SIZE,
    ORANGE,
    TICK_SIZE,
    label,
    legend,
    log_ticks,
    new_figure,
    png,
    say_empty,
    whole_numbers,
)

Degrees = npt.NDArray[np.integer]
"""Integers, shape (n,): distinct partners of each user or project."""

SPLIT_COLORS = {"train": BLUE, "validation": ORANGE, "test": GREEN}


@dataclass(frozen=True)
class DegreeCuts:
    """Where pruning cut: degrees outside [min, max] go; None draws no line."""

    min_user: float | None = None
    max_user: float | None = None
    min_project: float | None = None
    max_project: float | None = None


def degree_distributions(
    before_users: Degrees,
    after_users: Degrees,
    before_projects: Degrees,
    after_projects: Degrees,
    cuts: DegreeCuts,
) -> bytes:
    """Degrees of users and of projects before and after pruning, both axes logarithmic.

    Args:
        before_users: projects of each user in the raw interactions.
        after_users: the same in the pruned matrix.
        before_projects: users of each project in the raw interactions.
        after_projects: the same in the pruned matrix.
        cuts: drawn as dotted lines.

    Returns:
        PNG bytes.
    """
    figure, (users, projects) = new_figure(9.2, 3.5, 2)
    _degrees(users, before_users, after_users, (cuts.min_user, cuts.max_user))
    label(users, "Users by activity", "projects of a user", "users with at least so many")
    _degrees(projects, before_projects, after_projects, (cuts.min_project, cuts.max_project))
    label(projects, "Projects by audience", "users of a project", "projects with at least so many")
    return png(figure)


def split_counts(counts: Mapping[str, int], title: str = "Projects by split") -> bytes:
    """How many projects each split holds, with their share.

    Args:
        counts: split to number, drawn in the order given.
        title: what is counted.

    Returns:
        PNG bytes.
    """
    figure, (axes,) = new_figure(5.4, 0.9 + 0.38 * max(2, len(counts)))
    total = sum(counts.values())
    label(axes, title, "number", "")
    axes.grid(visible=False, axis="y")
    if total == 0:
        say_empty(axes)
        return png(figure)
    for row, (split, count) in enumerate(counts.items()):
        axes.barh(row, count, color=SPLIT_COLORS.get(split, GREY), height=0.66)
        axes.annotate(
            f"{count:,} ({count / total:.0%})",
            (count, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=TICK_SIZE,
            color=INK,
        )
    axes.set_yticks(range(len(counts)), list(counts), fontsize=LABEL_SIZE)
    axes.set_xlim(0, 1.22 * max(counts.values()))
    whole_numbers(axes.xaxis)
    axes.invert_yaxis()
    return png(figure)


def _degrees(
    axes: Axes, before: Degrees, after: Degrees, cuts: tuple[float | None, float | None]
) -> None:
    """Number with at least x of the positive degrees, as steps."""
    if not (np.asarray(before) > 0).any():
        say_empty(axes)
        return
    log_ticks(axes)
    for degrees, name, color, width in (
        (before, "before pruning", GREY, 2.6),
        (after, "after", BLUE, 1.5),
    ):
        values, number = np.unique(np.asarray(degrees)[np.asarray(degrees) > 0], return_counts=True)
        at_least = number[::-1].cumsum()[::-1]
        named = f"{name}: {number.sum():,}"
        axes.step(
            values, at_least, where="pre", color=color, linewidth=width, label=named, marker="."
        )
    axes.set_ylim(bottom=0.7)
    for cut, name in zip(cuts, ("at least", "at most"), strict=True):
        if cut is not None:
            axes.axvline(cut, color=ORANGE, linewidth=1, linestyle=(0, (1, 2)))
            axes.annotate(
                f"{name} {math.floor(cut):,}",
                (cut, 1),
                xycoords=("data", "axes fraction"),
                xytext=(2, -2),
                textcoords="offset points",
                rotation=90,
                va="top",
                fontsize=TICK_SIZE - 1,
                color=ORANGE,
            )
    legend(axes, "lower left")
