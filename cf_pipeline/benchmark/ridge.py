"""The row `imagenet_ridge`: what a linear map from ImageNet features to the factors achieves.

One eigendecomposition of the features' Gram matrix serves every strength of the grid. Strengths
are in units of the mean eigenvalue, so the same grid fits features of any scale and number. It is
fitted to train projects and chosen on validation, and then a feature set like the others.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import polars as pl

from cf_pipeline.benchmark.choices import ChoiceMeasures, best_of
from cf_pipeline.benchmark.config import BenchmarkConfig
from cf_pipeline.benchmark.feature_sets import IMAGENET
from cf_pipeline.benchmark.features import as_compared
from cf_pipeline.benchmark.inputs import PoolInputs, train_ids
from cf_pipeline.benchmark.pool import Pool, build_pool
from cf_pipeline.benchmark.queries import QueryCount, score_features
from cf_pipeline.benchmark.scorers import CosineScorer
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import IndexedVectors, Matrix, Progress, silent

_logger = logging.getLogger(__name__)

STRENGTHS: tuple[float, ...] = tuple(float(s) for s in np.logspace(4, -3, 15))
"""Strongest first: the first of equals is the most cautious."""


@dataclass(frozen=True)
class RidgePath:
    """Ridge solutions of every strength.

    Attributes:
        mean: of the train features, float64, shape (d,).
        directions: eigenvectors V of X'X, float64, shape (d, d).
        eigenvalues: float64, shape (d,).
        projected: V' X' Y, float64, shape (d, n_factors).
    """

    mean: Floats
    directions: Floats
    eigenvalues: Floats
    projected: Floats

    def predict(self, vectors: Matrix, strength: float) -> Matrix:
        """Predicted factors minus their train mean, (n, d) to (n, n_factors).

        W = V (Lambda + strength * mean(Lambda))^-1 V' X' Y; strength must be above 0.
        """
        shrunk = self.eigenvalues + strength * max(float(self.eigenvalues.mean()), 1e-12)
        weights = self.directions @ (self.projected / shrunk[:, np.newaxis])
        return np.asarray((vectors - self.mean) @ weights, dtype=np.float32)


def fit_ridge(features: Matrix, targets: Matrix) -> RidgePath:
    """Minimize |Y - X W|^2 + strength |W|^2 with X and Y minus their means, for all strengths.

    Args:
        features: of train projects, shape (n, d).
        targets: their factors, shape (n, n_factors).
    """
    mean = features.mean(axis=0, dtype=np.float64)
    x = features - mean
    y = targets - targets.mean(axis=0, dtype=np.float64)
    eigenvalues, directions = np.linalg.eigh(x.T @ x)
    return RidgePath(mean, directions, np.maximum(eigenvalues, 0.0), directions.T @ (x.T @ y))


@dataclass(frozen=True)
class RidgeEmbeddings:
    """What the ridge makes of every cover.

    Attributes:
        vectors: predicted factors minus their train mean, of every cover that had features.
        strength: chosen on validation, in units of the mean eigenvalue.
        n_train: projects it was fitted to.
    """

    vectors: IndexedVectors
    strength: float
    n_train: int

    def table(self) -> pl.DataFrame:
        """`project_id, features ARRAY(Float32, n_factors)`."""
        length = pl.Array(pl.Float32, self.vectors.n_dimensions)
        features = pl.Series(np.ascontiguousarray(self.vectors.vectors), dtype=length)
        return pl.DataFrame({"project_id": list(self.vectors.ids), "features": features})


def ridge_embeddings(
    inputs: PoolInputs,
    imagenet: IndexedVectors,
    config: BenchmarkConfig,
    progress: Progress = silent,
) -> RidgeEmbeddings:
    """Fit the ridge to train projects and choose its strength on the validation pool.

    Args:
        inputs: who trains and who is validated; factors to fit to.
        imagenet: features of every readable cover, as their table holds them.
        config: form of the features, bounds of the pool, triplets, seed.
        progress: hears queries done of queries to do.

    Raises:
        DataError: a vector is missing, or too little is left to fit to or to choose by.
    """
    catalog = inputs.catalog()
    train = train_ids(catalog)
    features = as_compared(IMAGENET, imagenet, train, config.imagenet_form)
    path = fit_ridge(features.rows(train), inputs.factors.rows(train))
    truth = build_truth(inputs.events)
    pool = build_pool(truth, catalog, "validation", inputs.pool_rules(config))
    strength = _choose_strength(pool, features, path, config, progress)
    vectors = IndexedVectors(features.ids, path.predict(features.vectors, strength))
    _logger.info("ridge strength chosen on validation: %g", strength)
    return RidgeEmbeddings(vectors, strength, len(train))


def _choose_strength(
    pool: Pool,
    features: IndexedVectors,
    path: RidgePath,
    config: BenchmarkConfig,
    progress: Progress,
) -> float:
    measures = ChoiceMeasures.of(pool)
    of_pool = features.rows(pool.project_ids)
    strengths = {f"ridge at {strength:g}": strength for strength in STRENGTHS}
    count = QueryCount(progress, 2 * len(pool.queries))
    values = score_features(
        pool,
        {name: CosineScorer.of(path.predict(of_pool, s)) for name, s in strengths.items()},
        (measures.first, measures.second),
        n_triplets=config.n_triplets,
        seed=config.seed,
        on_queries=count.add,
    )
    return strengths[best_of(values, tuple(strengths), measures)]
