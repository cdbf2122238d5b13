"""Training: a head by ridge on frozen features, then everything, and the better of the two.

The learning rate falls to zero, and what counts is where the descent ends: no weights are taken
from its middle. Epoch 0 is the network before its first step, its head the best ridge where the
backbone has learned already. Validation chooses between the two by the judge's measure, and where
the start knew something, among weights between them.
"""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from cf_pipeline.vision.batches import LOSS, TrainBatches, Validation
from cf_pipeline.vision.blending import Outcome, outcome
from cf_pipeline.vision.checkpoint import Manifest
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.devices import (
    Execution,
    activations_checkpointed,
    freed_memory_kept,
    on_device,
    seed_everything,
)
from cf_pipeline.vision.examples import TrainingData
from cf_pipeline.vision.geometry import square
from cf_pipeline.vision.heads import RidgeHeads, ridge_heads
from cf_pipeline.vision.loop import History, Listeners, Loop
from cf_pipeline.vision.networks import CoverEncoder
from cf_pipeline.vision.starting import Start, initial_network
from cf_pipeline.vision.unfinished import Unfinished

__all__ = ["Listeners", "Start", "Trained", "TrainingData", "train"]

_PANELS = 4
"""So many times at least a training shows who is near, beside its beginning and its end."""

_logger = logging.getLogger(__name__)


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
    unfinished: Unfinished | None = None,
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
        unfinished: where each epoch's state is kept, and where an earlier attempt of the same
            training that was ended is gone on with; None: nothing is kept.

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
    factors = torch.tensor(data.train.factors)
    targets = config.objective.targets(factors, statistics).to(execution.device)
    validation = Validation(data.validation, config, shape, statistics, data.relevances, execution)
    earlier = unfinished.read() if unfinished else None
    heads = None
    if earlier is None and continued is None and config.backbone.pretrained:
        heads = ridge_heads(network, config, data, targets.cpu(), validation, execution)
    batches = TrainBatches(data.train, config, shape, targets, execution)
    loop = Loop(network, config, batches, execution.device, listeners or Listeners())
    names = config.backbone.checkpointed if execution.checkpointing else ()
    with activations_checkpointed(map(network.backbone.get_submodule, names)):
        course = _resumed(loop, earlier) if earlier else _begun(loop, validation, heads)
        between = config.blend and (config.backbone.pretrained or continued is not None)
        found = _finished(loop, validation, course, unfinished, between=between)
    version = continued.model_version if continued else None
    came_from = (initial, version, network.head.in_features)
    manifest = _manifest(config, data, validation, (course, found), came_from)
    encoder = CoverEncoder(network.cpu(), config.objective, statistics)
    return Trained(encoder.eval(), manifest, tuple(course.history))


@dataclass(frozen=True)
class _Course:
    """How far it is: figures of every epoch, weights of the floor, strength of its ridge."""

    history: History
    floor: dict[str, Any]
    head_strength: float | None


def _manifest(
    config: VisionConfig,
    data: TrainingData,
    validation: Validation,
    ended: tuple[_Course, Outcome],
    came_from: tuple[str, str | None, int],
) -> Manifest:
    (course, found), (initial, started_from, n_features) = ended, came_from
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
        best_epoch=config.epochs if found.share else 0,
        share_of_end=found.share,
        chosen_by=validation.chosen_by,
        head_strength=course.head_strength,
        validation_ndcg=found.figures.get("validation_ndcg"),
        validation_cosine=found.figures["validation_cosine"],
        n_train=len(data.train.paths),
        n_validation=len(data.validation.paths),
        configuration=config.model_dump(mode="json"),
        torch_version=torch.__version__,
    )


def _begun(loop: Loop, validation: Validation, heads: RidgeHeads | None) -> _Course:
    """Epoch 0; the network then stands where the first step begins."""
    if validation.chosen_by == LOSS:
        _logger.warning("no validation cover has another that is relevant: the loss chooses")
    if heads is not None:
        heads.load_into(loop.network.head)
    history: History = []
    _judge(loop, validation, history, {})
    floor = copy.deepcopy(loop.network.state_dict())
    if heads is not None:
        heads.load_into(loop.network.head, loop.config.head_strength)
    loop.descent.begin()
    return _Course(history, floor, heads.best if heads else None)


def _resumed(loop: Loop, earlier: dict[str, Any]) -> _Course:
    """An earlier attempt's last whole epoch, told again to who listens."""
    loop.load_state_dict(earlier["loop"])
    history: History = earlier["history"]
    _logger.info("goes on after epoch %d of %d", len(history) - 1, loop.config.epochs)
    for epoch, figures in enumerate(history):
        loop.listeners.on_epoch(epoch, figures)
    return _Course(history, earlier["floor"], earlier["head_strength"])


def _judge(loop: Loop, validation: Validation, history: History, figures: dict[str, float]) -> None:
    """Add an epoch to the history, and tell who listens."""
    epoch, epochs = len(history), loop.config.epochs
    outputs = validation.outputs(loop.network, loop.normalization, loop.device)
    history.append(figures | validation.judge(outputs))
    loop.listeners.on_epoch(epoch, history[-1])
    if epoch in (0, epochs) or epoch % math.ceil(epochs / _PANELS) == 0:
        rows = validation.nearest(outputs)
        if rows:
            loop.listeners.on_neighbours(epoch, rows)


def _finished(
    loop: Loop,
    validation: Validation,
    course: _Course,
    unfinished: Unfinished | None,
    *,
    between: bool,
) -> Outcome:
    """The remaining epochs and the choice; the network then has the weights that were chosen."""
    history, epochs = course.history, loop.config.epochs
    for epoch in range(len(history), epochs + 1):
        with freed_memory_kept(loop.device):  # an epoch long: what is kept fragments
            figures = loop.epoch(epoch)
            with loop.descent.as_judged():
                _judge(loop, validation, history, figures)
        if unfinished:
            unfinished.write({**vars(course), "loop": loop.state_dict()})
    loop.descent.finish()
    if not epochs:
        loop.network.load_state_dict(course.floor)
        return Outcome(0.0, history[0])
    found = outcome(loop, validation, course.floor, (history[0], history[-1]), between=between)
    chosen_by = validation.chosen_by
    _logger.info(
        "%s: start %.4f, end %.4f; kept %.4f, with a share of %g of the end",
        chosen_by,
        history[0][chosen_by],
        history[-1][chosen_by],
        found.figures[chosen_by],
        found.share,
    )
    if not found.share:
        _logger.warning("training ended below what it started from: epoch 0 is kept")
    return found
