"""One cell of a table: a network trained on a fold and judged on its pools.

What is kept of a cell is what its groups of queries add up to, by which cells of all folds are
pooled and compared in pairs, query by query, as the scoreboard does.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from cf_pipeline.benchmark.choices import ChoiceMeasures
from cf_pipeline.benchmark.features import centred, ensemble
from cf_pipeline.benchmark.pool import Pool
from cf_pipeline.benchmark.queries import score_features
from cf_pipeline.benchmark.scorers import CosineScorer
from cf_pipeline.storage.home import write_whole
from cf_pipeline.vectors import Indices, Matrix
from cf_pipeline.vision.checkpoint import checkpoint_input
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.devices import Execution
from cf_pipeline.vision.embedding import embed_covers
from cf_pipeline.vision.training import Trained, train
from trials.folds import Fold

Sums = dict[str, Any]
"""Split to measure to `counts`, queries of each group, and `sums`, name to sums of each group."""
_DIGITS = 5


@dataclass(frozen=True)
class Cell:
    """A cell and what came out.

    Attributes:
        name: of its file.
        asked: everything that it follows from.
        facts: of the training: epochs, what chose, seconds.
        sums: of its feature sets on the pools.
    """

    name: str
    asked: Mapping[str, Any]
    facts: Mapping[str, Any]
    sums: Sums

    def write(self, folder: Path) -> None:
        """As one JSON file; small, so that hundreds may be kept."""
        folder.mkdir(parents=True, exist_ok=True)  # whole, or a kill would leave half a cell
        text = json.dumps(
            {"asked": self.asked, "facts": self.facts, "sums": self.sums}, separators=(",", ":")
        )
        write_whole(folder / f"{self.name}.json", text + "\n")


def kept(folder: Path, name: str, asked: Mapping[str, Any]) -> Cell | None:
    """A cell of before, if it was asked the same."""
    file = folder / f"{name}.json"
    if not file.is_file():
        return None
    found = json.loads(file.read_text(encoding="utf-8"))
    same = found["asked"] == json.loads(json.dumps(asked))
    return Cell(name, asked, found["facts"], found["sums"]) if same else None


def referred(fold: Fold) -> Sums:
    """What the features that ours are compared with add up to on the pools of a fold."""
    return {split: _sums(fold, split, dict(fold.references[split])) for split in fold.pools}


def trained_and_judged(
    fold: Fold, vision: VisionConfig, device: str, threads: int, rows: Indices | None = None
) -> tuple[dict[str, Any], Sums]:
    """Train as configured and judge both layers, each beside ImageNet's features too.

    Args:
        fold: covers, factors, pools.
        vision: the network and its training.
        device: auto, cpu or cuda.
        threads: for decoding.
        rows: of the train covers; None: all.

    Returns:
        Facts of the training, and sums of `collaborative`, `predicted_factors` and both `beside`.
    """
    started = time.monotonic()
    with (
        threadpool_limits(limits=1, user_api="blas"),
        tempfile.TemporaryDirectory() as scratch,
    ):
        execution = Execution.of(device, threads, Path(scratch), checkpointing=False)
        data = fold.data(vision, rows)
        result = train(data, vision, execution=execution)
        seconds = time.monotonic() - started
        train_features, _ = vectors_of(result, data.train.paths, execution)
        sums: Sums = {}
        for split in fold.pools:
            features, predicted = vectors_of(result, fold.covers[split], execution)
            layers = {
                "collaborative": centred(train_features, features),
                "predicted_factors": predicted,
            }
            imagenet = fold.references[split]["imagenet"]
            layers |= {f"{n} beside": ensemble(v, imagenet) for n, v in layers.items()}
            sums[split] = _sums(fold, split, layers)
    manifest = result.manifest
    facts = {
        "best_epoch": manifest.best_epoch,
        "head_strength": manifest.head_strength,
        "n_train": manifest.n_train,
        "seconds": round(seconds, 1),
        "torch": manifest.torch_version,
        "history": [
            {n: round(v, _DIGITS) for n, v in figures.items() if n != "covers_per_second"}
            for figures in result.history
        ],
    }
    return facts, sums


def vectors_of(
    result: Trained, paths: tuple[Path, ...], execution: Execution
) -> tuple[Matrix, Matrix]:
    """Features and predicted factors of covers by a network that was trained."""
    look = checkpoint_input(result.manifest)
    features, predicted = embed_covers(result.network, look, paths, execution)
    return features, predicted


def _sums(fold: Fold, split: str, vectors: Mapping[str, Matrix]) -> dict[str, Any]:
    """By measure what each group of queries adds up to."""
    pool, config = fold.pools[split], fold.config
    measures = measured(pool)
    values = score_features(
        pool,
        {name: CosineScorer.of(v) for name, v in vectors.items()},
        measures,
        n_triplets=config.n_triplets,
        seed=config.seed,
    )
    found: dict[str, Any] = {}
    _, groups = np.unique(values.groups, return_inverse=True)
    for measure in measures:
        given = values.values[measure]
        answered = ~np.isnan(given).any(axis=1)
        counts = np.bincount(groups[answered], minlength=int(groups.max()) + 1)
        found[measure] = {
            "counts": counts.tolist(),
            "sums": {
                name: np.round(
                    np.bincount(groups[answered], given[answered, column], len(counts)), _DIGITS
                ).tolist()
                for column, name in enumerate(values.feature_sets)
            },
        }
    return found


def measured(pool: Pool) -> tuple[str, str]:
    """The measures by which layers are chosen, within strata where there are any."""
    measures = ChoiceMeasures.of(pool)
    return measures.second, measures.first
