"""What a network is made from: covers, the factors of their projects, and who chooses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import Matrix
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.geometry import Shape, input_shape
from cf_pipeline.vision.relevance import Relevances


@dataclass(frozen=True)
class Examples:
    """Covers and the factors of their projects, row by row.

    Attributes:
        paths: n cover files.
        factors: float32, shape (n, n_factors), finite.
        degrees: users of each project, shape (n,), at least 1; None: all alike.

    Raises:
        DataError: lengths differ, or a factor is not finite.
    """

    paths: tuple[Path, ...]
    factors: Matrix
    degrees: Floats | None = None

    def __post_init__(self) -> None:
        if len(self.paths) != self.factors.shape[0]:
            raise DataError(
                f"expected one factor per cover: {len(self.paths)} covers, factors of shape "
                f"{self.factors.shape}."
            )
        if not np.isfinite(self.factors).all():
            bad = int((~np.isfinite(self.factors).all(axis=1)).sum())
            raise DataError(
                f"{bad} of {len(self.paths)} factors hold NaN or infinity. Materialize "
                "latent_factors again."
            )

    def weights(self, config: VisionConfig) -> Floats | None:
        """How much each row counts, `vision.degree_weight` and `crowd_weight`; None: all alike.

        Shape (n,), of mean 1.
        """
        if not (config.degree_weight or config.crowd_weight):
            return None
        degrees = np.ones(len(self.paths)) if self.degrees is None else self.degrees
        _, place, crowds = np.unique(self.factors, axis=0, return_inverse=True, return_counts=True)
        crowd = crowds[place.reshape(-1)]
        weights = degrees**config.degree_weight / crowd**config.crowd_weight
        if weights.min() == weights.max():
            return None
        return np.asarray(weights / weights.mean(), dtype=np.float64)


@dataclass(frozen=True)
class TrainingData:
    """What a network is made from.

    Attributes:
        train: what it is fitted to.
        validation: what chooses.
        relevances: among the validation covers; None: nobody is queried, and the loss chooses.
        shape: of the input; None: the square of `vision.image_size`.
    """

    train: Examples
    validation: Examples
    relevances: Relevances | None = None
    shape: Shape | None = None

    @classmethod
    def read(cls, table: Path, relevances: Path | None, config: VisionConfig) -> TrainingData:
        """What Parquet files hold, for a network of this configuration.

        Args:
            table: `project_id, path, width, height, degree, factors, split`.
            relevances: `query_id, candidate_id, relevance` of validation projects.
            config: size and fit of covers.

        Raises:
            DataError: one half is empty, or they do not fit each other.
        """
        rows = pl.read_parquet(table).sort("project_id")
        train, validation = rows.filter(split="train"), rows.filter(split="validation")
        examples = {
            name: Examples(
                tuple(Path(p) for p in half["path"]),
                half["factors"].to_numpy(),
                half["degree"].cast(pl.Float64).to_numpy(),
            )
            for name, half in (("train", train), ("validation", validation))
        }
        asked = None
        if relevances is not None:
            ids = validation["project_id"].to_list()
            asked = Relevances.of(pl.read_parquet(relevances), ids)
        aspect = train.select((pl.col("width") / pl.col("height")).median()).item()
        # None where nobody trains, which is refused right away.
        shape = None if aspect is None else input_shape(config, aspect)
        return cls(**examples, relevances=asked, shape=shape)

    def __post_init__(self) -> None:
        if len(self.train.paths) < 2 or not self.validation.paths:
            raise DataError(
                f"training needs at least 2 train covers and 1 validation cover, got "
                f"{len(self.train.paths)} and {len(self.validation.paths)}. Loosen pruning or "
                "change split.validation."
            )
