"""How much do more covers help: from nothing, from ImageNet's weights, and by ridge alone?

    python benchmarks/learning_curve.py --datasets data/openclipart/dataset.toml --work /somewhere
    python benchmarks/learning_curve.py --planted 8000 --work /somewhere
    python benchmarks/learning_curve.py --report --write

A quarter, half and all of the train projects of a data set, with the factors of all; of a planted
world also less, where one from nothing begins to see. Cells are kept and gone on with as those of
objectives.py. A line in the logarithm of the number of covers is fitted to each curve; where its
slope is above zero in 97.5 % of resamples, it says at how many covers the curve meets ImageNet's
features. `--size` trains on so many covers, in a folder of its own.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from trials.curve import Curve, curves_of, drawn
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

RESULTS = REPOSITORY / "docs" / "results" / "learning_curve"
PAGE = REPOSITORY / "docs" / "learning_curve.md"
PICTURE = REPOSITORY / "docs" / "learning_curve.png"
SHARES = {"planted": (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)}
_PLANTED: dict[str, dict[str, Any]] = {
    "ridge": {"epochs": 0, "image_size": 96},
    "finetuned": {"epochs": 4, "image_size": 96},
    "scratch": {**FROM_NOTHING, "epochs": 20, "image_size": 48, "crop_area": 0.8},
}


def asks(dataset: str) -> list[Ask]:
    """Points of the curves of one data set."""
    budget = FROM_IMAGENET.get(dataset, FULL)
    ways = {"ridge": {**budget, "epochs": 0}, "finetuned": budget, "scratch": FROM_NOTHING}
    if dataset == "planted":
        ways = _PLANTED
    return [
        Ask(f"{way}-{share:g}", settings, share=share)
        for share in SHARES.get(dataset, (0.25, 0.5, 1.0))
        for way, settings in ways.items()
    ]


def main() -> None:
    """Fill the points, draw the curves, and print one JSON object last."""
    parser = arguments_of(__doc__, RESULTS)
    parser.add_argument("--planted", type=int, default=0, help="projects of a planted world")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    results = arguments.work / "small" if arguments.size else arguments.results
    if not arguments.report:
        datasets = dict.fromkeys(arguments.datasets, arguments.folds)
        if arguments.planted:
            datasets[planted(arguments.work, arguments.planted)] = 1
        fill_all(arguments, datasets, asks, results)
    blocks, curves = report(results)
    print("\n\n".join(blocks))
    if arguments.write:
        PICTURE.write_bytes(drawn(curves))
        write_block(PAGE, blocks)
    print(json.dumps({c.name: c.figures() for c in curves}))


def planted(work: Path, size: int) -> Path:
    """A planted world's description; it is planted where it is not there yet."""
    from cf_pipeline.synthetic.config import PlantedConfig
    from cf_pipeline.synthetic.planted import plant

    folder = work / f"world-{size}"
    if not folder.is_dir():
        plant(folder, PlantedConfig(n_projects=size, n_users=max(300, size // 2)))
    return folder / "dataset.toml"


def report(results: Path) -> tuple[list[str], list[Curve]]:
    """A table for each data set, and its curves."""
    blocks, curves = [], []
    for dataset, cells in cells_of(results).items():
        table = Table(dataset, cells, REFERENCE)
        names = [ask.name for ask in asks(dataset) if ask.name in table.names]
        if not names:
            continue
        found = curves_of(table, names)
        said = "\n".join(f"- {curve.in_words()}" for curve in found)
        blocks.append(f"{table.markdown(names)}\n\n{said}")
        curves += found
    return blocks, curves


if __name__ == "__main__":
    main()
