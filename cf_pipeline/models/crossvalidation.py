"""K homes in which every hashed project is tested once, and their scoreboard pooled.

Each fold has a home of its own below `HOME/folds/`; what does not depend on the split is computed
once, in `HOME/folds/common`, and copied. A fold that is there already computes what is stale and
nothing else, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.errors import DataError
from cf_pipeline.models.catalogue import warehouse_of
from cf_pipeline.recompute.staleness import StageSpec
from cf_pipeline.storage.copying import copy_assets
from cf_pipeline.storage.home import Home

VERDICT = "similarity_scores"
SPLIT = "project_split"


@dataclass(frozen=True)
class Folds:
    """A cross-validation of one home.

    Attributes:
        home: whose data set and earlier results are taken.
        choices: what every fold is configured by, but for the fold itself.
        n_folds: K.
        stages: every asset of the pipeline.
        wanted: assets that a fold is computed for, with everything they are made of.
    """

    home: Home
    choices: Choices
    n_folds: int
    stages: Sequence[StageSpec]
    wanted: tuple[str, ...] = (VERDICT,)

    @property
    def common_home(self) -> Home:
        """Where what does not depend on the split is computed."""
        return Home(self.home.path / "folds" / "common")

    def fold_home(self, fold: int) -> Home:
        """The home of one fold."""
        return Home(self.home.path / "folds" / str(fold))

    @property
    def common(self) -> list[str]:
        """Assets that the verdict needs and that do not depend on the split."""
        return [name for name in self._needed if SPLIT not in self._above(name)]

    @property
    def of_a_fold(self) -> list[str]:
        """The others that it needs."""
        return [name for name in self._needed if SPLIT in self._above(name)]

    def compute_common(self) -> None:
        """Compute once what all folds share, beginning with what the home itself holds.

        Raises:
            DataError: a stage failed; its own message was told.
        """
        place = self.common_home
        place.create()
        if not place.warehouse_path.exists() and self.home.warehouse_path.exists():
            _take_over(self.home, place, self.common)
        self.choices.write(place.config_path)
        _run(place, self.common)

    def compute_fold(self, fold: int) -> None:
        """Compute one fold, on a copy of what all share.

        Raises:
            DataError: a stage failed; its own message was told.
        """
        place = self.fold_home(fold)
        place.create()
        _take_over(self.common_home, place, self.common)
        split = {"split.folds": self.n_folds, "split.fold": fold}
        chosen = self.choices.model_copy(update={"set": {**self.choices.set, **split}})
        chosen.write(place.config_path)
        _run(place, self.of_a_fold)

    def compute(self, jobs: int) -> None:
        """All of it, so many folds at a time.

        Raises:
            DataError: a stage failed; folds that ended well are kept.
        """
        self.compute_common()
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(self.compute_fold, range(self.n_folds)))

    def scoreboard(self) -> pl.DataFrame:
        """The scoreboard pooled over folds, see benchmark.pooling."""
        from cf_pipeline.benchmark.pooling import pooled_table

        config = resolve(self.choices).benchmark
        queries, chosen = zip(*map(self._judged, range(self.n_folds)), strict=True)
        return pooled_table(
            pl.concat(queries),
            pl.concat(chosen),
            n_resamples=config.n_resamples,
            seed=config.seed,
        )

    def _judged(self, fold: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Test queries of a fold's model, and the layer that it chose; with the fold's name."""
        warehouse = warehouse_of(self.fold_home(fold))
        record = warehouse.record("trained_cnn")
        if record is None:
            raise DataError(f"fold {fold} has no model: run cf-pipeline crossvalidate again.")
        where, parameters = "model_version = ?", [record.data_version]
        name = pl.lit(str(fold)).alias("fold")
        queries = warehouse.frame("similarity_queries", where=where, parameters=parameters)
        scores = warehouse.frame("similarity_scores", where=where, parameters=parameters)
        chosen = scores.filter("chosen").select(name, "feature_set").unique()
        return queries.filter(split="test").with_columns(name), chosen

    @property
    def _needed(self) -> list[str]:
        above = set[str]().union(*map(self._above, self.wanted))
        return [spec.asset for spec in self.stages if spec.asset in above]

    def _above(self, asset: str) -> set[str]:
        """An asset and everything that it is made of."""
        parents = {spec.asset: spec.parents for spec in self.stages}
        found, waiting = set[str](), [asset]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += parents[name]
        return found


def _take_over(source: Home, target: Home, assets: Sequence[str]) -> None:
    """Copy assets that the other home holds in another version than this one."""
    theirs = warehouse_of(source).records()
    mine = warehouse_of(target).records()
    wanted = [name for name in assets if name in theirs and theirs[name] != mine.get(name)]
    if wanted:
        copy_assets(source.warehouse_path, warehouse_of(target), wanted)


def _run(home: Home, assets: Sequence[str]) -> None:
    """`cf-pipeline run` in a process of its own: Dagster's instance belongs to one home."""
    command = [sys.executable, "-m", "cf_pipeline", "run", "--home", str(home.path)]
    ended = subprocess.run(
        [*command, "--select", ",".join(assets)], stdout=subprocess.DEVNULL, check=False
    )
    if ended.returncode:
        raise DataError(
            f"the run in {home.path} did not end well, see above. Mend it and start again: what "
            "was computed is kept."
        )
