"""Training: a head by ridge on frozen features, then everything, and the better of the two.

The learning rate falls to zero, and what counts is where the descent ends: no weights are taken
from its middle. Epoch 0 is the network before its first step, its head the best ridge where the
backbone has learned already. Validation chooses between the end and epoch 0 by the judge's measure.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from cf_pipeline.errors import DataError
from cf_pipeline.vision.batches import LOSS, Examples, TrainBatches, Validation
from cf_pipeline.vision.checkpoint import Manifest
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.devices import (
    Execution,
    activations_checkpointed,
    freed_memory_kept,
    on_device,
    seed_everything,
)
from cf_pipeline.vision.embedding import embed_covers
from cf_pipeline.vision.geometry import Shape, input_shape, square
from cf_pipeline.vision.heads import RidgeHeads, fit_heads
from cf_pipeline.vision.loop import History, Listeners, Loop
from cf_pipeline.vision.networks import CoverEncoder, CoverInput, CoverRegressor
from cf_pipeline.vision.relevance import Relevances
from cf_pipeline.vision.starting import Start, initial_network

__all__ = ["Listeners", "Start", "Trained", "TrainingData", "train"]

_logger = logging.getLogger(__name__)


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
            table: `project_id, path, width, height, factors, split`.
            relevances: `query_id, candidate_id, relevance` of validation projects.
            config: size and fit of covers.

        Raises:
            DataError: one half is empty, or they do not fit each other.
        """
        rows = pl.read_parquet(table).sort("project_id")
        train, validation = rows.filter(split="train"), rows.filter(split="validation")
        examples = {
            name: Examples(tuple(Path(p) for p in half["path"]), half["factors"].to_numpy())
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


@dataclass(frozen=True)
class Trained:
    """The network that validation chose, its manifest, and every epoch's figures, from 0."""

    network: CoverEncoder
    manifest: Manifest
    history: tuple[dict[str, float], ...] = field(repr=False)


def train(
    data: TrainingData,
    config: VisionConfig,
    *,
    execution: Execution,
    listeners: Listeners | None = None,
    start: Start | None = None,
) -> Trained:
    """Train from covers to factors.

    Args:
        data: covers and factors of both halves.
        config: backbone, objective, schedule.
        execution: device, threads for decoding, and a directory for decoded covers, which the
            caller removes.
        listeners: callbacks.
        start: what to continue from; None: begin as configured. One of another backbone, objective
            or number of factors is left aside with a warning; fit of covers may differ, and size
            where the backbone has no weights that depend on it.

    Raises:
        ConfigError: the backbone cannot be built, or its weight file cannot be used.
        DataError: a loss or a prediction that is not finite.
    """
    seed_everything(config.seed)
    shape = data.shape or square(config.schedule.image_size)
    data = replace(data, shape=shape)
    n_factors = int(data.train.factors.shape[1])
    network, initial, continued = initial_network(config, n_factors, start)
    network = on_device(network, execution.device)
    statistics = config.objective.statistics(data.train.factors)
    targets = config.objective.targets(torch.tensor(data.train.factors), statistics)
    validation = Validation(data.validation, config, shape, statistics, data.relevances, execution)
    heads = None
    if continued is None and config.backbone.pretrained:
        heads = _heads(network, config, data, targets, validation, execution)
    batches = TrainBatches(data.train, config, shape, targets, execution)
    loop = Loop(network, config, batches, execution.device, listeners or Listeners())
    names = config.backbone.checkpointed if execution.checkpointing else ()
    with activations_checkpointed(map(network.backbone.get_submodule, names)):
        history, best = _run(loop, validation, heads)
    version = continued.model_version if continued else None
    came_from = (initial, version, network.head.in_features)
    manifest = _manifest(config, data, validation, heads, (history, best), came_from)
    encoder = CoverEncoder(network.cpu(), config.objective, statistics)
    return Trained(encoder.eval(), manifest, tuple(history))


def _manifest(
    config: VisionConfig,
    data: TrainingData,
    validation: Validation,
    heads: RidgeHeads | None,
    ended: tuple[History, int],
    came_from: tuple[str, str | None, int],
) -> Manifest:
    (history, best), (initial, started_from, n_features) = ended, came_from
    assert data.shape is not None  # `train` has filled it in
    return Manifest(
        backbone=config.backbone.model_dump(mode="json"),
        objective=config.objective.model_dump(mode="json"),
        shape=data.shape,
        fit=config.fit,
        n_features=n_features,
        levels=dict(config.pooled),
        n_factors=int(data.train.factors.shape[1]),
        target_mean=[float(v) for v in validation.statistics["mean"]],
        initial_weights=initial,
        started_from=started_from,
        best_epoch=best,
        chosen_by=validation.chosen_by,
        head_strength=heads.best if heads else None,
        validation_ndcg=history[best].get("validation_ndcg"),
        validation_cosine=history[best]["validation_cosine"],
        n_train=len(data.train.paths),
        n_validation=len(data.validation.paths),
        configuration=config.model_dump(mode="json"),
        torch_version=torch.__version__,
    )


def _heads(
    network: CoverRegressor,
    config: VisionConfig,
    data: TrainingData,
    targets: torch.Tensor,
    validation: Validation,
    execution: Execution,
) -> RidgeHeads | None:
    """Ridges on the features as they are before training; None where a head has no such targets."""
    wanted = config.objective.head_targets(targets)
    if wanted is None:
        _logger.info("objective %s has no ridge: the head starts at random", config.objective.name)
        return None
    assert data.shape is not None  # `train` has filled it in
    look = CoverInput(config.backbone.normalization(), data.shape, config.fit)
    paths = (*data.train.paths, *data.validation.paths)
    given, _ = embed_covers(network, look, paths, execution)
    n_train, features = len(data.train.paths), torch.from_numpy(given)
    network.balance(features[:n_train])
    features = (features - network.center.cpu()) * network.scale.cpu()
    return fit_heads(
        features[:n_train].numpy(),
        wanted,
        features[n_train:].numpy(),
        lambda outputs: validation.merit(validation.judge(outputs)),
    )


def _run(loop: Loop, validation: Validation, heads: RidgeHeads | None) -> tuple[History, int]:
    """Every epoch's figures and the one that was chosen, whose weights the network then has."""
    network, config = loop.network, loop.config

    def scored(epoch: int, figures: dict[str, float]) -> dict[str, float]:
        figures |= validation.score(network, loop.normalization, loop.device)
        loop.listeners.on_epoch(epoch, figures)
        return figures

    if validation.chosen_by == LOSS:
        _logger.warning("no validation cover has another that is relevant: the loss chooses")
    if heads is not None:
        heads.load_into(network.head)
    history = [scored(0, {})]
    floor: dict[str, Any] = copy.deepcopy(network.state_dict())
    if heads is not None:
        heads.load_into(network.head, config.head_strength)
    for epoch in range(1, config.epochs + 1):
        with freed_memory_kept(loop.device):  # an epoch long: what is kept fragments
            history.append(scored(epoch, loop.epoch(epoch)))
    if validation.merit(history[-1]) >= validation.merit(history[0]):
        return history, config.epochs
    _logger.warning(
        "training ended below what it started from (%s %.4f instead of %.4f): epoch 0 is kept",
        validation.chosen_by,
        history[-1][validation.chosen_by],
        history[0][validation.chosen_by],
    )
    network.load_state_dict(floor)
    return history, 0
