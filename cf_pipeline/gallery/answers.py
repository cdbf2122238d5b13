"""A page with what a search found: the query, and covers with their titles, nearest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from cf_pipeline.gallery.page import STYLE, environment, source_hash, text_of
from cf_pipeline.gallery.pictures import thumbnails

SIDE = 240
"""Of a cover on the page, in pixels."""


@dataclass(frozen=True)
class Answer:
    """One project that was found.

    Attributes:
        project_id: its outside key.
        title: what it is called; None: it has no name.
        path: of its cover; None: it has none.
        cosine: to the query.
    """

    project_id: str
    title: str | None
    path: Path | None
    cosine: float


def answers_page(heading: str, query: Path | None, answers: Sequence[Answer]) -> bytes:
    """The page as UTF-8: one file that opens from disk and loads nothing.

    Args:
        heading: what was asked.
        query: its picture; None: a project without a cover.
        answers: nearest first.

    Raises:
        DataError: a cover is gone or does not decode any more.
    """
    pictured = {str(row): a.path for row, a in enumerate(answers) if a.path is not None}
    if query is not None:
        pictured["query"] = query
    style = text_of(STYLE)
    page = (
        environment()
        .get_template("answers.html")
        .render(
            heading=heading,
            answers=answers,
            thumbs=thumbnails(pictured, side=SIDE),
            style=Markup(style),  # this package's own
            style_hash=source_hash(style),
        )
    )
    return page.strip().encode() + b"\n"
