"""Cells as tables: one row for each ask, over all folds that it has a cell of."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cf_pipeline.benchmark.report import markdown
from cf_pipeline.errors import DataError
from cf_pipeline.storage.home import Home
from trials.pooling import Difference, chosen_layer, difference

IMAGENET, LEVELS_RIDGE = "imagenet", "imagenet_levels_ridge"
BEGIN, END = "<!-- cells -->", "<!-- end of cells -->"
Cells = list[dict[str, Any]]


def cells_of(folder: Path) -> dict[str, Cells]:
    """What stands in a folder, by data set."""
    found: dict[str, Cells] = {}
    for file in sorted(folder.glob("*.json")):
        cell = json.loads(file.read_text(encoding="utf-8"))
        name, _, _ = file.stem.rpartition(f"-{cell['asked']['dataset']}-fold")
        found.setdefault(cell["asked"]["dataset"], []).append({"name": name, **cell})
    return found


@dataclass(frozen=True)
class ResultsPage:
    """A table in a page of docs, and where it comes from.

    Attributes:
        description: of the script.
        file: the page.
        results: folder of what was found, a JSON file each.
        marks: what the table stands between.
        read: a home and --size to a name and what was found there.
        table_of: a folder of results to the table.
    """

    description: str | None
    file: Path
    results: Path
    marks: tuple[str, str]
    read: Callable[[Home, int], tuple[str, dict[str, Any]]]
    table_of: Callable[[Path], str]


@dataclass(frozen=True)
class Table:
    """Cells of one data set.

    Attributes:
        dataset: its name.
        cells: as `cells_of` gives them.
        reference: name of the cells that others are compared with.
    """

    dataset: str
    cells: Cells
    reference: str

    @property
    def names(self) -> list[str]:
        """Of the rows that have a cell."""
        return [name for name in self._by_name if name != self.reference]

    def row(
        self, name: str, split: str, begins: str, *, layer: str = "", reference: str = IMAGENET
    ) -> Difference:
        """A feature set minus a reference over the folds that have a cell.

        Args:
            name: of the row.
            split: validation or test.
            begins: how the measure begins.
            layer: of the network; none: the one that each fold's validation chose.
            reference: `imagenet`, `imagenet_ridge` or `imagenet_levels_ridge`.
        """
        cells = self._by_name[name]
        folds = sorted(cells)
        sums = [cells[fold]["sums"] for fold in folds]
        layers = [layer or chosen_layer(of_cell) for of_cell in sums]
        others = [self._by_name[self.reference][fold]["sums"] for fold in folds]
        return difference(sums, layers, others, reference, (split, begins))

    def folds(self, name: str) -> list[int]:
        """Those that a row has a cell of."""
        return sorted(self._by_name.get(name, {}))

    def cell(self, name: str, fold: int) -> dict[str, Any]:
        """One of its cells."""
        return self._by_name[name][fold]

    def markdown(self, names: Sequence[str]) -> str:
        """The rows as a Markdown table below what they were computed with."""
        shown = [cell for name in names for cell in self._by_name[name].values()]
        hardware = sorted({cell["facts"]["hardware"] for cell in shown})
        commits = sorted({cell["facts"]["commit"] for cell in shown})
        heading = (
            f"**{self.dataset}**, {max(len(self._by_name[n]) for n in names)} folds, chosen layer "
            f"minus `imagenet`; {', '.join(hardware)}; commit {', '.join(commits)}."
        )
        titles = ["", "folds", "validation nDCG", "test triplet accuracy", "test nDCG"]
        rows = []
        for name in names:
            places = (("validation", "ndcg"), ("test", "triplet"), ("test", "ndcg"))
            figures = [str(self.row(name, *place)) for place in places]
            rows.append([name, str(len(self._by_name[name])), *figures])
        return f"{heading}\n\n{markdown(titles, rows)}"

    def figures(self, names: Sequence[str]) -> dict[str, Any]:
        """The same as numbers."""
        return {
            name: {
                f"{split}_{begins}": vars(self.row(name, split, begins))
                for split in ("validation", "test")
                for begins in ("triplet", "ndcg")
            }
            for name in names
            if name in self._by_name
        }

    @cached_property
    def _by_name(self) -> dict[str, dict[int, dict[str, Any]]]:
        found: dict[str, dict[int, dict[str, Any]]] = {}
        for cell in self.cells:
            found.setdefault(cell["name"], {})[cell["asked"]["fold"][0]] = cell
        return found


def write_block(page: Path, blocks: Sequence[str], begins: str = BEGIN, ends: str = END) -> None:
    """Replace what stands between two comments of a page.

    Raises:
        DataError: they are not there.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(begins)
    _, end, after = rest.partition(ends)
    if not (begin and end):
        raise DataError(f"{page} lacks {begins} or {ends}. Put both where the tables belong.")
    whole = "\n\n".join([f"{before}{begins}", *blocks, f"{ends}{after}"])
    page.write_text(whole, encoding="utf-8")


def page_of_homes(page: ResultsPage, size: int, what: str) -> None:
    """The command line of a script that keeps what it finds in homes and writes a page's table.

    Args:
        page: what it finds, and where it goes.
        size: default of --size.
        what: --size says.
    """
    parser = argparse.ArgumentParser(
        description=page.description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, nargs="*", default=[])
    parser.add_argument("--save", type=Path, default=page.results, help="folder of results")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    parser.add_argument("--size", type=int, default=size, help=what)
    arguments = parser.parse_args()
    arguments.save.mkdir(parents=True, exist_ok=True)
    for path in arguments.home:
        name, found = page.read(Home.locate(path), arguments.size)
        (arguments.save / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    table = page.table_of(arguments.save)
    print(table)
    if arguments.write:
        write_block(page.file, [table], *page.marks)
    print(json.dumps({"results": len(list(arguments.save.glob("*.json")))}))
