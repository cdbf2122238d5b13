"""A linear head on vectors from outside, where a data set has no covers: the network is skipped.

It is the ridge that a network starts from, its strength chosen on validation by the same measure,
and stands in the same files, so that whatever reads a model reads this one.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import torch

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.vectors import Matrix, indexed
from cf_pipeline.vision.backbones.vectors import Vectors
from cf_pipeline.vision.batches import Judge
from cf_pipeline.vision.checkpoint import Manifest
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.examples import Examples
from cf_pipeline.vision.heads import fit_heads
from cf_pipeline.vision.networks import CoverEncoder, CoverRegressor
from cf_pipeline.vision.relevance import Relevances
from cf_pipeline.vision.training import Trained

_AT_ONCE = 4096


def fit_linear(
    rows: pl.DataFrame, vectors: pl.DataFrame, relevances: pl.DataFrame, config: VisionConfig
) -> Trained:
    """Fit a head to train projects, its strength chosen on validation.

    Args:
        rows: `project_id, factors, degree, split` of train and validation projects.
        vectors: `project_id, features` of the same.
        relevances: `query_id, candidate_id, relevance` of validation projects.
        config: the objective, and what a project counts.

    Raises:
        ConfigError: the objective is none that a linear head can be fitted to by least squares.
        DataError: a vector is missing, or one half is empty.
    """
    given = indexed(vectors, "project_id", "features")
    halves = {name: rows.filter(split=name).sort("project_id") for name in ("train", "validation")}
    ids = {name: half["project_id"].to_list() for name, half in halves.items()}
    if len(ids["train"]) < 2 or not ids["validation"]:
        raise DataError(
            f"a head needs at least 2 train projects and 1 validation project, got "
            f"{len(ids['train'])} and {len(ids['validation'])}. Loosen pruning or change "
            "split.validation."
        )
    train, validation = (_examples(half) for half in halves.values())
    objective = config.objective
    statistics = objective.statistics(train.factors)
    targets = objective.targets(torch.tensor(train.factors), statistics)
    wanted = objective.head_targets(targets)
    if wanted is None:
        raise ConfigError(
            f"vision.objective {objective.name!r} has no head by least squares, and without covers "
            "there is no other. Choose regression, cosine or another that regresses."
        )
    judge = Judge(validation, config, statistics, Relevances.of(relevances, ids["validation"]))
    heads = fit_heads(
        given.rows(ids["train"]),
        wanted,
        given.rows(ids["validation"]),
        lambda outputs: judge.merit(judge.judge(outputs)),
        train.weights(config),
    )
    k = int(train.factors.shape[1])
    regressor = CoverRegressor((Vectors().build(1), given.n_dimensions), objective.n_outputs(k))
    heads.load_into(regressor.head)
    network = CoverEncoder(regressor, objective, statistics).eval()
    with torch.inference_mode():
        _, outputs = regressor(torch.from_numpy(given.rows(ids["validation"])))
    figures = judge.judge(outputs)
    sizes = (len(ids["train"]), len(ids["validation"]), given.n_dimensions, k)
    manifest = _manifest(config, judge, figures, heads.best, sizes)
    return Trained(network, manifest, (figures,))


def _manifest(
    config: VisionConfig,
    judge: Judge,
    figures: dict[str, float],
    strength: float,
    sizes: tuple[int, int, int, int],
) -> Manifest:
    n_train, n_validation, n_features, n_factors = sizes
    return Manifest(
        backbone=Vectors().model_dump(mode="json"),
        objective=config.objective.model_dump(mode="json"),
        shape=(1, 1),
        fit=config.fit,
        n_features=n_features,
        n_factors=n_factors,
        target_mean=[float(v) for v in judge.statistics["mean"]],
        initial_weights="vectors from outside",
        best_epoch=0,
        chosen_by=judge.chosen_by,
        head_strength=strength,
        validation_ndcg=figures.get("validation_ndcg"),
        validation_cosine=figures["validation_cosine"],
        n_train=n_train,
        n_validation=n_validation,
        configuration=config.model_dump(mode="json"),
        torch_version=torch.__version__,
    )


def embed_vectors(network: CoverEncoder, vectors: Matrix) -> tuple[Matrix, Matrix]:
    """Features and predicted factors of vectors (n, d), shapes (n, d) and (n, k)."""
    with torch.inference_mode():
        found = [network(block) for block in torch.split(torch.from_numpy(vectors), _AT_ONCE)]
    features, predicted = (torch.cat(part).numpy() for part in zip(*found, strict=True))
    return features, predicted


def _examples(half: pl.DataFrame) -> Examples:
    """A project's vector has no file: its id stands where a cover's path would."""
    return Examples(
        tuple(map(Path, half["project_id"])),
        half["factors"].to_numpy(),
        half["degree"].cast(pl.Float64).to_numpy(),
    )
