"""What a table asks for, cell by cell, and how its cells are filled."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from cf_pipeline.metrics.keyed import id_keys
from cf_pipeline.vectors import Indices
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.devices import choose_device
from trials.cell import Cell, kept, referred, trained_and_judged
from trials.folds import Fold, prepared, shortened
from trials.self_supervised import SelfSupervision, write_start

REPOSITORY = Path(__file__).parents[2]
BUNDLED = REPOSITORY / "data" / "openclipart" / "dataset.toml"
MOVIELENS = REPOSITORY / "cf_pipeline" / "sources" / "templates" / "movielens_1m.toml"
REFERENCE = "reference"

_PLAIN: Mapping[str, Any] = {"crowd_weight": 0.0, "blend": False}
"""Objectives are compared by themselves: every project counts alike, and start or end is kept."""
FROM_IMAGENET: Mapping[str, Mapping[str, Any]] = {
    "openclipart": {**_PLAIN, "epochs": 3, "image_size": 160},
    "movielens_1m": {**_PLAIN, "epochs": 4, "image_size": 192},
}
"""Budget of each set, as its bar is set: `demo` and `full` of recipe modern."""
FULL: Mapping[str, Any] = FROM_IMAGENET["movielens_1m"]
FROM_NOTHING: Mapping[str, Any] = {
    **_PLAIN,
    "backbone": "resnet_small",
    "epochs": 12,
    "image_size": 80,
}


@dataclass(frozen=True)
class Ask:
    """One row of a table, asked of every fold.

    Attributes:
        name: of its cells' files, before the fold.
        settings: of `vision`.
        share: of the train covers.
        self_supervised: whether the backbone starts from covers alone, as `SelfSupervision` says.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    share: float = 1.0
    self_supervised: bool = False

    def of(self, fold: Fold) -> dict[str, Any]:
        """Everything that a cell follows from."""
        start = vars(SelfSupervision()) if self.self_supervised else None
        return {
            "dataset": fold.dataset,
            "fold": list(fold.number),
            "settings": dict(self.settings),
            "share": self.share,
            "self_supervised": start,
        }


def fill(
    fold: Fold, asks: Sequence[Ask], folder: Path, work: Path, device: str = "auto"
) -> Iterator[Cell]:
    """Cells of a fold, the reference first; what is there already is not computed again.

    Args:
        fold: covers, factors, pools.
        asks: rows of the table.
        folder: of the cells' files.
        work: of weights that a backbone starts from.
        device: auto, cpu or cuda.
    """
    reference = _reference(fold, folder)
    yield reference
    for ask in asks:
        name, asked = f"{ask.name}-{fold.name}", ask.of(fold)
        cell = kept(folder, name, asked)
        if cell is None:
            cell = computed(fold, ask, work, device)
            cell.write(folder)
        yield cell


def fill_all(
    arguments: argparse.Namespace,
    datasets: Mapping[Path, int],
    asks: Callable[[str], Sequence[Ask]],
    results: Path,
) -> None:
    """Every cell of every fold that is not there yet.

    Args:
        arguments: `work`, `folds`, `size`, `device` of a script.
        datasets: dataset.toml to how many of its folds are wanted.
        asks: rows of the table of a data set, by its name.
        results: folder of the cells' files.
    """
    for dataset, wanted in datasets.items():
        for number in range(wanted):
            (fold,) = prepared(dataset, arguments.work, arguments.folds, 0, [number])
            fold = shortened(fold, arguments.size)
            for cell in fill(fold, asks(fold.dataset), results, arguments.work, arguments.device):
                logging.info("%s", cell.name)


def arguments_of(description: str | None, results: Path) -> argparse.ArgumentParser:
    """What both scripts take."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", type=Path, nargs="*", default=[BUNDLED])
    parser.add_argument("--work", type=Path, default=Path("data/trials"), help="homes of folds")
    parser.add_argument("--results", type=Path, default=results)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", type=int, default=0, help="train covers; 0: all")
    parser.add_argument("--report", action="store_true", help="only say what is there")
    parser.add_argument("--write", action="store_true", help="put what is said into the page")
    return parser


def computed(fold: Fold, ask: Ask, work: Path, device: str, threads: int = 0) -> Cell:
    """Train and judge one cell."""
    settings = dict(ask.settings)
    rows = share_of(fold, ask.share) if ask.share < 1 else None
    if ask.self_supervised:
        settings["backbone"] = _started(fold, VisionConfig(**settings), work, device)
    vision = VisionConfig(**settings)
    facts, sums = trained_and_judged(fold, vision, device, threads, rows)
    logging.info("%s-%s: %s s", ask.name, fold.name, facts["seconds"])
    return Cell(f"{ask.name}-{fold.name}", ask.of(fold), {**facts, **provenance(device)}, sums)


def share_of(fold: Fold, share: float) -> Indices:
    """Rows of a share of the train covers: a larger share holds the smaller ones."""
    paths = [path.name for path in fold.train.paths]
    n = max(2, round(share * len(paths)))
    return np.sort(np.argsort(id_keys(paths, seed=1), kind="stable")[:n]).astype(np.int64)


def provenance(device: str) -> dict[str, Any]:
    """What a figure stands beside."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=False, cwd=REPOSITORY,
    )  # fmt: skip
    used = choose_device(device)
    hardware = f"{os.cpu_count()} cores, {platform.machine()}"
    if used.type == "cuda":
        import torch

        hardware = f"one {torch.cuda.get_device_name(used)}, {hardware}"
    return {
        "commit": commit.stdout.strip() or "no checkout",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware,
    }


def _reference(fold: Fold, folder: Path) -> Cell:
    asked = Ask(REFERENCE).of(fold)
    cell = kept(folder, f"{REFERENCE}-{fold.name}", asked)
    if cell is None:
        facts = {"n_train": len(fold.train.paths), **provenance("cpu")}
        cell = Cell(f"{REFERENCE}-{fold.name}", asked, facts, referred(fold))
        cell.write(folder)
    return cell


def _started(fold: Fold, vision: VisionConfig, work: Path, device: str) -> dict[str, str]:
    """The backbone with weights that covers alone gave."""
    file = work.absolute() / "starts" / f"{fold.name}-{vision.schedule.image_size}.pt"
    if not file.is_file():
        shape = fold.data(vision).shape
        assert shape is not None
        how = SelfSupervision()
        loss = write_start(fold.unlabelled, shape, vision, how, choose_device(device), file)
        logging.info("%s: loss %.3f nats", file.name, loss)
    return {"name": vision.backbone.name, "weights": str(file)}
