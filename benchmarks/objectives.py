"""Objectives from ImageNet's weights and from nothing, over folds, at one budget.

    python benchmarks/objectives.py --datasets data/openclipart/dataset.toml --work /somewhere
    python benchmarks/objectives.py --report --write

Every cell is a small JSON file in docs/results/objectives, and none is computed twice: stopped and
started again, it goes on where it was. `--report` computes nothing. `--size` trains on so many
covers, in a folder of its own below the working folder.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from trials.plan import (
    FROM_IMAGENET,
    FROM_NOTHING,
    FULL,
    REFERENCE,
    REPOSITORY,
    Ask,
    arguments_of,
    fill_all,
)
from trials.report import Table, cells_of, write_block

RESULTS = REPOSITORY / "docs" / "results" / "objectives"
PAGE = REPOSITORY / "docs" / "objectives.md"

OBJECTIVES: dict[str, Any] = {
    "regression": "regression",
    "regression_factors": {"name": "regression", "length": 1.0},
    "regression_directions": {"name": "regression", "length": 0.0},
    "cosine": "cosine",
    "contrastive": "contrastive",
    "pseudo_class": "pseudo_class",
    "regression_and_classes": {
        "name": "weighted_sum",
        "terms": ["regression", "pseudo_class"],
        "weights": [1.0, 0.1],
    },
}
STRONG = {"crop_area": 0.2, "jitter": 0.5}
"""Views for a network that has to learn from nothing what a picture may lose."""


def asks(dataset: str) -> list[Ask]:
    """Rows of the table of one data set."""
    budget = FROM_IMAGENET.get(dataset, FULL)
    trained = [
        *(Ask(f"imagenet-{n}", {**budget, "objective": o}) for n, o in OBJECTIVES.items()),
        Ask("imagenet-ridge", {**budget, "epochs": 0}),
        *(Ask(f"scratch-{n}", {**FROM_NOTHING, "objective": o}) for n, o in OBJECTIVES.items()),
    ]
    return [*trained, *further(FROM_NOTHING)]


def further(base: dict[str, Any]) -> list[Ask]:
    """Ideas for a network from nothing, beside the objectives."""
    started = {**base, "batch_norm": "trained"}
    return [
        Ask("scratch-strong_views", {**base, **STRONG}),
        Ask("scratch-strong_views_longer", {**base, **STRONG, "epochs": 36}),
        Ask("scratch-averaged", {**base, "averaging": 0.98}),
        Ask("scratch-self_supervised", started, self_supervised=True),
        Ask(
            "scratch-self_supervised_classes",
            {**started, "objective": "pseudo_class"},
            self_supervised=True,
        ),
    ]


def main() -> None:
    """Fill the table, print it, and one JSON object last."""
    parser = arguments_of(__doc__, RESULTS)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    results = arguments.work / "small" if arguments.size else arguments.results
    if not arguments.report:
        datasets = dict.fromkeys(arguments.datasets, arguments.folds)
        fill_all(arguments, datasets, asks, results)
    blocks, figures = report(results)
    print("\n\n".join(blocks))
    if arguments.write:
        write_block(PAGE, blocks)
    print(json.dumps(figures))


def report(results: Path) -> tuple[list[str], dict[str, Any]]:
    """A table for each data set, and its figures."""
    blocks, figures = [], {}
    for dataset, cells in cells_of(results).items():
        table = Table(dataset, cells, REFERENCE)
        names = [ask.name for ask in asks(dataset) if ask.name in table.names]
        if not names:
            continue
        blocks.append(table.markdown(names))
        figures[dataset] = table.figures(names)
    return blocks, figures


if __name__ == "__main__":
    main()
