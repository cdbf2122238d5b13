"""Folds of a data set, ready to be trained on and judged: all that does not depend on a network.

Every fold has a home below a working folder, as `cf-pipeline crossvalidate` makes them, computed up
to `training_set` and the features that ours are compared with. A home that is there already
computes what is stale and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.feature_sets import IMAGENET, IMAGENET_LEVELS_RIDGE, IMAGENET_RIDGE
from cf_pipeline.benchmark.features import as_compared
from cf_pipeline.benchmark.inputs import PoolInputs, TruthRules, train_ids
from cf_pipeline.benchmark.pool import Pool, build_pool
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.models.catalogue import warehouse_of
from cf_pipeline.models.crossvalidation import Folds
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.sql import equals
from cf_pipeline.storage.home import Home
from cf_pipeline.vectors import Indices, Matrix, indexed
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.examples import Examples, TrainingData
from cf_pipeline.vision.geometry import input_shape
from cf_pipeline.vision.relevance import Relevances

SPLITS = ("validation", "test")
REFERENCES = (IMAGENET, IMAGENET_RIDGE, IMAGENET_LEVELS_RIDGE)
_WANTED = ("training_set", "imagenet_embeddings", "ridge_embeddings")
_TABLES = {
    IMAGENET: "imagenet_embeddings",
    IMAGENET_RIDGE: "ridge_embeddings",
    IMAGENET_LEVELS_RIDGE: "ridge_embeddings",
}


@dataclass(frozen=True)
class Fold:
    """One fold of a data set.

    Attributes:
        dataset: its name.
        number: which fold, of how many, by which seed.
        train: covers of train projects with their factors.
        validation: likewise.
        relevances: among the validation covers.
        aspect: width over height of the median train cover.
        unlabelled: covers of all projects that are not held out, with or without factors.
        pools: by split, who is judged.
        covers: by split, the cover of every project of the pool.
        references: by split and name, vectors of the pool as they are compared.
        config: of the judge.
    """

    dataset: str
    number: tuple[int, int, int]
    train: Examples
    validation: Examples
    relevances: Relevances
    aspect: float
    unlabelled: tuple[Path, ...]
    pools: Mapping[str, Pool]
    covers: Mapping[str, tuple[Path, ...]]
    references: Mapping[str, Mapping[str, Matrix]]
    config: BenchmarkConfig

    @property
    def name(self) -> str:
        """`movielens_1m-fold3`."""
        return f"{self.dataset}-fold{self.number[0]}"

    def data(self, vision: VisionConfig, rows: Indices | None = None) -> TrainingData:
        """What a network of this configuration is trained on.

        Args:
            vision: size and fit.
            rows: of the train covers; None: all.
        """
        train = self.train if rows is None else taken(self.train, rows)
        shape = input_shape(vision, self.aspect)
        return TrainingData(train, self.validation, self.relevances, shape)


def taken(examples: Examples, rows: Indices) -> Examples:
    """Some of the examples."""
    degrees = None if examples.degrees is None else examples.degrees[rows]
    return Examples(tuple(examples.paths[row] for row in rows), examples.factors[rows], degrees)


def prepared(
    dataset: Path,
    work: Path,
    n_folds: int,
    seed: int,
    only: Sequence[int],
    chosen: Mapping[str, Any] | None = None,
) -> list[Fold]:
    """Folds of a data set, computed where they are not yet.

    Args:
        dataset: its dataset.toml.
        work: a folder for homes, one below it for each data set.
        n_folds: how many there are.
        seed: `split.seed`.
        only: which of them are wanted.
        chosen: further settings, by dotted key.
    """
    from cf_pipeline.cli.console import all_stages

    described = load_dataset(dataset.absolute())
    home = Home(work.absolute() / described.name)
    home.create()
    choices = Choices(dataset=str(dataset.absolute()), set={"split.seed": seed, **(chosen or {})})
    folds = Folds(home, choices, n_folds, all_stages(), _WANTED)
    folds.compute_common()
    found = []
    for number in only:
        folds.compute_fold(number)
        found.append(read(folds.fold_home(number)))
        logging.info("%s is ready", found[-1].name)
    return found


def read(home: Home) -> Fold:
    """A fold from its home."""
    configuration = resolve(Choices.read(home.config_path))
    warehouse, split = warehouse_of(home), configuration.split
    described = load_dataset(configuration.dataset)

    def frame(table: str, *columns: str, where: str | None = None) -> pl.DataFrame:
        return warehouse.frame(table, columns or None, where=where)

    inputs = PoolInputs.read(frame, TruthRules.of(described.sections()["dataset.truth"]))
    catalog, truth = inputs.catalog(), build_truth(inputs.events)
    rules = inputs.pool_rules(configuration.benchmark)
    pools = {name: build_pool(truth, catalog, name, rules) for name in SPLITS}
    covers = dict(frame("covers", "project_id", "path", where="status = 'ok'").iter_rows())
    held_out = set(frame("project_split").filter(pl.col("split") != "train")["project_id"])
    train, form = train_ids(catalog), configuration.benchmark.imagenet_form
    references: dict[str, dict[str, Matrix]] = {name: {} for name in SPLITS}
    for name in REFERENCES:
        rows = frame(_TABLES[name], "project_id", "features", where=equals("feature_set", name))
        vectors = as_compared(name, indexed(rows, "project_id", "features"), train, form)
        for place, pool in pools.items():
            references[place][name] = vectors.rows(pool.project_ids)
    table = frame("training_set").sort("project_id")
    halves = {name: table.filter(split=name) for name in ("train", "validation")}
    return Fold(
        described.name,
        (split.fold, split.folds or 0, split.seed),
        *(_examples(half) for half in halves.values()),
        Relevances.of(frame("validation_relevances"), halves["validation"]["project_id"].to_list()),
        halves["train"].select((pl.col("width") / pl.col("height")).median()).item(),
        tuple(Path(path) for id_, path in sorted(covers.items()) if id_ not in held_out),
        pools,
        {n: tuple(Path(covers[id_]) for id_ in pool.project_ids) for n, pool in pools.items()},
        references,
        configuration.benchmark,
    )


def _examples(half: pl.DataFrame) -> Examples:
    return Examples(
        tuple(Path(path) for path in half["path"]),
        half["factors"].to_numpy(),
        half["degree"].cast(pl.Float64).to_numpy(),
    )


def shortened(fold: Fold, n: int) -> Fold:
    """A fold with so many train covers; 0: all."""
    rows = np.arange(min(n, len(fold.train.paths)), dtype=np.int64)
    return replace(fold, train=taken(fold.train, rows)) if n else fold
