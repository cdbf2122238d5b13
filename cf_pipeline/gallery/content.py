"""What stands on the page, as plain data: no table, no picture, no HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cf_pipeline.vectors import Matrix

if TYPE_CHECKING:
    from cf_pipeline.gallery.task_panels import TaskPanel


@dataclass(frozen=True)
class Label:
    """A cover in words.

    Attributes:
        title: of its project, or the id where it has none.
        field: of its project, if any.
        path: the image file.
    """

    title: str
    field: str | None
    path: Path


@dataclass(frozen=True)
class Facts:
    """What the numbers on the page are of.

    Attributes:
        name: of the data set.
        model: the model version.
        form: name of the form in which our features are compared on the page.
        n_covers: readable covers.
        n_users: with a place in latent space.
        n_projects: with a place in latent space, by split: `train`, `validation`, `test`, and
            `seen` for those of the test half that an earlier network of the chain was fitted to.
    """

    name: str
    model: str
    form: str
    n_covers: int
    n_users: int
    n_projects: Mapping[str, int]


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; bounds are None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def side(self) -> int | None:
        """Of a difference: 1 above zero, -1 below, 0 where the interval holds zero; None: none."""
        if self.low is None or self.high is None:
            return None
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class BoardRow:
    """One feature set on a board.

    Attributes:
        name: of the feature set.
        value: None where nothing could be measured.
        difference: to the board's reference; None for the reference itself.
        marked: whether it is the one that the verdict is about.
    """

    name: str
    value: Interval | None
    difference: Interval | None = None
    marked: bool = False


@dataclass(frozen=True)
class Board:
    """One table of scores.

    Attributes:
        title: what was measured, and on what.
        measure: name of the values' column.
        reference: what differences are taken to; None: the table has none.
        rows: in the order of the scoreboard.
        is_first: whether it is read before others of its kind, which stand behind a click.
        panel: below it, of a labelled task.
    """

    title: str
    measure: str
    reference: str | None
    rows: tuple[BoardRow, ...]
    is_first: bool = True
    panel: TaskPanel | None = None

    @property
    def scale(self) -> tuple[float, float]:
        """From where to where the axis of the values goes: all of them with their bounds."""
        found = [row.value for row in self.rows if row.value is not None]
        if not found:
            return 0.0, 1.0
        low = min(each.value if each.low is None else each.low for each in found)
        high = max(each.value if each.high is None else each.high for each in found)
        return (low, high) if high > low else (low - 0.5, high + 0.5)


@dataclass(frozen=True)
class Headline:
    """What one kind of table says.

    Attributes:
        title: what was measured.
        figures: whose, and the figure; ours first.
        sentence: the same with intervals, and what follows from it.
    """

    title: str
    figures: tuple[tuple[str, str], ...]
    sentence: str


@dataclass(frozen=True)
class ClusterCard:
    """A cluster as it is shown.

    Attributes:
        cluster: its number.
        n_projects: how many lie in it.
        words: that tell it apart, the surest first.
        by_source: where words stand (`tag`, `title`, ...) to words with the share of the cluster's
            projects that have them, the surest first.
        covers: project ids, those nearest to its centre, one of each look.
    """

    cluster: int
    n_projects: int
    words: tuple[str, ...]
    by_source: Mapping[str, tuple[tuple[str, float], ...]]
    covers: tuple[str, ...]


@dataclass(frozen=True)
class QueryPanel:
    """A query of the benchmark with what lies nearest to it.

    Attributes:
        project_id: of the query.
        value: of our chosen layer, a share between 0 and 1.
        imagenet_value: of ImageNet's features on the same query.
        ours: project ids, nearest first, among all covers.
        imagenet: the same by ImageNet's features.
    """

    project_id: str
    value: float
    imagenet_value: float
    ours: tuple[str, ...]
    imagenet: tuple[str, ...]


@dataclass(frozen=True)
class Retrieval:
    """The queries that the rule picks.

    Attributes:
        measure: by whose values they are ordered.
        layer: whose values these are.
        n_queries: how many there are to pick from.
        groups: `best`, `median` and `worst`, each to its queries.
    """

    measure: str
    layer: str
    n_queries: int
    groups: Mapping[str, tuple[QueryPanel, ...]]


@dataclass(frozen=True)
class PlacedTwice:
    """A test cover, where the network put it, and where people did.

    Attributes:
        project_id: of the cover.
        distance: 1 minus the cosine of the two places, 0 to 2.
        predicted: train covers nearest to the predicted place, nearest first.
        actual: train covers nearest to the place that people's behaviour gives.
    """

    project_id: str
    distance: float
    predicted: tuple[str, ...]
    actual: tuple[str, ...]


@dataclass(frozen=True)
class Misplacements:
    """Where the network is wrong.

    Attributes:
        distances: of every test cover that has both places, 0 to 2.
        farthest: the worst, the farthest first.
        nearest: the best, the nearest first.
    """

    distances: tuple[float, ...]
    farthest: tuple[PlacedTwice, ...]
    nearest: tuple[PlacedTwice, ...]


@dataclass(frozen=True)
class CoverMap:
    """All covers that are on the map.

    Attributes:
        project_ids: n of them.
        places: float32, shape (n, 2), x and y from 0 to 1.
        clusters: number of each one's cluster; None: it has no place in latent space.
        ours: ids nearest to each by our features, nearest first.
        imagenet: the same by ImageNet's features.
    """

    project_ids: tuple[str, ...]
    places: Matrix
    clusters: tuple[int | None, ...]
    ours: Mapping[str, tuple[str, ...]]
    imagenet: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Gallery:
    """The whole page.

    Attributes:
        facts: what the numbers are of.
        headlines: the scoreboard in figures and sentences.
        boards: kind (`Factors`, `Similarity`, ...) to its tables.
        talk: titles and rows of the talk's last slide; None without labelled tasks.
        clusters: by number.
        retrieval: the panels.
        wrong: where the network is wrong.
        map: all covers.
        labels: project id to words and file, of every id on the page.
    """

    facts: Facts
    headlines: tuple[Headline, ...]
    boards: Mapping[str, tuple[Board, ...]]
    clusters: tuple[ClusterCard, ...]
    retrieval: Retrieval
    wrong: Misplacements
    map: CoverMap
    labels: Mapping[str, Label]
    talk: tuple[list[str], list[list[str]]] | None = None

    def pictured(self) -> tuple[str, ...]:
        """Ids whose covers stand on the page outside the map, each once, in order."""
        return tuple(dict.fromkeys(self._pictured()))

    def _pictured(self) -> Iterator[str]:
        for card in self.clusters:
            yield from card.covers
        for panels in self.retrieval.groups.values():
            for panel in panels:
                yield from (panel.project_id, *panel.ours, *panel.imagenet)
        for each in (*self.wrong.farthest, *self.wrong.nearest):
            yield from (each.project_id, *each.predicted, *each.actual)
