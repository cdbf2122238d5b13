"""Rows such as `imagenet_ridge`: what a linear map from ImageNet features to the factors achieves.

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
from cf_pipeline.benchmark.feature_sets import SHIPPED, USER_TABLE, feature_set, ridges
from cf_pipeline.benchmark.features import as_compared
from cf_pipeline.benchmark.inputs import PoolInputs, ReadTable, train_ids
from cf_pipeline.benchmark.pool import Pool, build_pool, with_vectors
from cf_pipeline.benchmark.queries import QueryCount, score_features
from cf_pipeline.benchmark.scorers import CosineScorer
from cf_pipeline.benchmark.truth import build_truth
from cf_pipeline.vectors import IndexedVectors, Progress, indexed, silent
from cf_pipeline.vision.ridge import STRENGTHS, RidgePath, fit_ridge

_logger = logging.getLogger(__name__)


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


def frozen_features(frame: ReadTable) -> pl.DataFrame:
    """What ridges map: ImageNet's features, and those that the user brings.

    Returns:
        `project_id, sha256, feature_set, features`.
    """
    columns = ("project_id", "sha256", "feature_set", "features")
    return pl.concat([frame(name, *columns) for name in ("imagenet_embeddings", USER_TABLE)])


def ridge_tables(
    inputs: PoolInputs, frozen: pl.DataFrame, config: BenchmarkConfig, progress: Progress = silent
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Every ridge of the scoreboard.

    Args:
        inputs: who trains and who is validated; factors to fit to.
        frozen: `project_id, sha256, feature_set, features`, of readable covers.
        config: form of the features, bounds of the pool, triplets, seed.
        progress: hears queries done of queries to do.

    Returns:
        `project_id, sha256, feature_set, features`, and figures about the fits.

    Raises:
        DataError: a vector is missing, or too little is left to fit to or to choose by.
    """
    tables, facts = [], dict[str, float]()
    for name, source in ridges(frozen["feature_set"].unique()).items():
        rows = frozen.filter(feature_set=source)
        vectors = indexed(rows, "project_id", "features")
        fitted = ridge_embeddings(inputs, source, vectors, config, progress)
        hashes = rows.select("project_id", "sha256")
        table = fitted.table().join(hashes, on="project_id", maintain_order="left")
        tables.append(table.with_columns(feature_set=pl.lit(name)))
        facts |= {f"{name}_strength": fitted.strength, "train_projects": fitted.n_train}
    return pl.concat(tables), facts


def ridge_embeddings(
    inputs: PoolInputs,
    source: str,
    vectors: IndexedVectors,
    config: BenchmarkConfig,
    progress: Progress = silent,
) -> RidgeEmbeddings:
    """Fit a ridge to train projects and choose its strength on the validation pool.

    Args:
        inputs: who trains and who is validated; factors to fit to.
        source: the feature set that it maps.
        vectors: of every readable cover, as their table holds them.
        config: form of the features, bounds of the pool, triplets, seed.
        progress: hears queries done of queries to do.

    Raises:
        DataError: a vector is missing, or too little is left to fit to or to choose by.
    """
    catalog = inputs.catalog()
    if feature_set(source) not in SHIPPED:  # of a cover all that ships has a vector
        catalog = with_vectors(catalog, vectors)
    train = train_ids(catalog)
    features = as_compared(source, vectors, train, config.imagenet_form)
    path = fit_ridge(features.rows(train), inputs.factors.rows(train))
    truth = build_truth(inputs.events)
    pool = build_pool(truth, catalog, "validation", inputs.pool_rules(config))
    strength = _choose_strength(pool, features, path, config, progress)
    predicted = IndexedVectors(features.ids, path.predict(features.vectors, strength))
    _logger.info("ridge on %s: strength %g chosen on validation", source, strength)
    return RidgeEmbeddings(predicted, strength, len(train))


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
