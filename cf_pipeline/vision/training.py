"""Training the network on covers and the factors of their projects, and on nothing else.

AdamW under a one-cycle schedule, the backbone slower than the new head; after every epoch the
cosine to the folded-in factors of validation projects decides which epoch is kept. A warm start
continues from an earlier checkpoint's weights under a schedule of its own. The loop knows arrays
and callbacks: who listens (a log, a bar, wandb) is not its business.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cf_pipeline.errors import DataError
from cf_pipeline.vision.batches import Examples, TrainBatches, ValidationCovers
from cf_pipeline.vision.checkpoint import Manifest
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.devices import (
    Execution,
    activations_checkpointed,
    freed_memory_kept,
    on_device,
    seed_everything,
)
from cf_pipeline.vision.networks import (
    CoverEncoder,
    CoverRegressor,
    built,
    initialized,
    normalize,
)

WARM_UP_SHARE = 0.2
"""Share of the one-cycle schedule in which the learning rate rises."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listeners:
    """Who hears about training; every callback may be left out."""

    on_batch: Callable[[int, int, dict[str, float]], None] = lambda done, total, figures: None
    """covers seen so far, covers in all epochs, `epoch`, `loss`."""
    on_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, figures: None
    """epoch from 1, `train_loss`, `validation_loss`, `validation_cosine`, `learning_rate`, ..."""


@dataclass(frozen=True)
class Trained:
    """The network at its best epoch, its manifest, and every epoch's figures."""

    network: CoverEncoder
    manifest: Manifest
    history: tuple[dict[str, float], ...] = field(repr=False)


@dataclass(frozen=True)
class Start:
    """An earlier checkpoint whose weights training continues from.

    Attributes:
        network: its network, which is copied.
        manifest: its manifest.
        model_version: its id.
    """

    network: CoverEncoder
    manifest: Manifest
    model_version: str


def train(
    train_set: Examples,
    validation_set: Examples,
    config: VisionConfig,
    *,
    execution: Execution,
    listeners: Listeners | None = None,
    start: Start | None = None,
) -> Trained:
    """Train from covers to factors.

    Args:
        train_set: what is learned from.
        validation_set: what chooses the epoch.
        config: backbone, objective, schedule.
        execution: device, threads for decoding, and a directory for decoded covers, which the
            caller removes.
        listeners: callbacks.
        start: what to continue from; None: begin as configured. One of another backbone, objective
            or number of factors is left aside with a warning; fit of covers may differ, and size
            where the backbone has no weights that depend on it.

    Raises:
        ConfigError: the backbone cannot be built, or its weight file cannot be used.
        DataError: fewer train covers than a batch of two, no validation covers, or a loss or a
            validation cosine that is not finite.
    """
    _refuse_too_few(train_set, validation_set)
    generator = seed_everything(config.seed)
    n_factors = int(train_set.factors.shape[1])
    network, initial, continued = _initial_network(config, n_factors, start)
    network = on_device(network, execution.device)
    statistics = config.objective.statistics(train_set.factors)
    batches = TrainBatches(train_set, config, statistics, execution, generator)
    validation = ValidationCovers(validation_set, config, statistics, execution)
    loop = _Loop(network, config, execution.device, batches, listeners or Listeners())
    names = config.backbone.checkpointed if execution.checkpointing else ()
    with activations_checkpointed(map(network.backbone.get_submodule, names)):
        history, best_epoch = loop.run(validation)
    manifest = Manifest(
        backbone=config.backbone.model_dump(mode="json"),
        objective=config.objective.model_dump(mode="json"),
        image_size=config.schedule.image_size,
        fit=config.fit,
        n_features=network.head.in_features,
        n_factors=n_factors,
        target_mean=[float(v) for v in statistics["mean"]],
        initial_weights=initial,
        started_from=continued.model_version if continued else None,
        best_epoch=best_epoch,
        validation_cosine=history[best_epoch - 1]["validation_cosine"],
        n_train=len(train_set.paths),
        n_validation=len(validation_set.paths),
        configuration=config.model_dump(mode="json"),
        torch_version=torch.__version__,
    )
    encoder = CoverEncoder(network.cpu(), config.objective, statistics)
    return Trained(encoder.eval(), manifest, tuple(history))


def _refuse_too_few(train_set: Examples, validation_set: Examples) -> None:
    if len(train_set.paths) < 2 or not validation_set.paths:
        raise DataError(
            f"training needs at least 2 train covers and 1 validation cover, got "
            f"{len(train_set.paths)} and {len(validation_set.paths)}. Loosen pruning or change "
            "split.validation."
        )


def _initial_network(
    config: VisionConfig, n_factors: int, start: Start | None
) -> tuple[CoverRegressor, str, Start | None]:
    """The network as training begins, where its weights are from, and the start if it is one."""
    image_size = config.schedule.image_size
    backbone, n_features = built(config.backbone, image_size)
    n_outputs = config.objective.n_outputs(n_factors)
    network = CoverRegressor(backbone, n_features, n_outputs, config.dropout)
    if start is not None and _continues(start, network, config, n_factors):
        network.load_state_dict(start.network.regressor.state_dict())
        return network, start.manifest.initial_weights, start
    if not config.backbone.pretrained:
        return network, config.backbone.initial_weights(), None
    # Built a second time on purpose: what dropout draws depends on how much was drawn before it,
    # and a seed is to give the network that it gave in release 0.1.0.
    network.backbone, initial = initialized(config.backbone, image_size)
    return network, initial, None


def _continues(start: Start, network: CoverRegressor, config: VisionConfig, n_factors: int) -> bool:
    """Whether a start is of the network that is asked for; a warning where it is not."""
    theirs, ours = start.network.regressor.state_dict(), network.state_dict()
    compared = {
        "backbone": (_named(start.manifest.backbone), _named(config.backbone.model_dump())),
        "objective": (start.manifest.objective["name"], config.objective.name),
        "n_factors": (start.manifest.n_factors, n_factors),
    }
    differing = [f"{what} {a} instead of {b}" for what, (a, b) in compared.items() if a != b]
    if not differing and _shapes(theirs) != _shapes(ours):
        size = start.manifest.image_size
        differing = [
            f"tensors of other shapes, by its image_size {size} or its objective's settings"
        ]
    if differing:
        _logger.warning(
            "checkpoint %s has %s: training starts as configured (vision.backbone = %s), not from "
            "it",
            start.model_version,
            " and ".join(differing),
            config.backbone.name,
        )
    return not differing


def _named(backbone: dict[str, Any]) -> str:
    """Name and settings; weights that a network began with do not make it another one."""
    settings = {k: v for k, v in backbone.items() if k not in {"name", "weights"}}
    return " ".join([backbone["name"], *(f"{k}={v}" for k, v in sorted(settings.items()))])


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


class _Loop:
    """Optimizer, schedule and one epoch of steps."""

    def __init__(
        self,
        network: CoverRegressor,
        config: VisionConfig,
        device: torch.device,
        batches: TrainBatches,
        listeners: Listeners,
    ) -> None:
        self.network, self.config, self.schedule = network, config, config.schedule
        self.normalization = config.backbone.normalization()
        self.device, self.batches, self.listeners = device, batches, listeners
        head_rate = self.schedule.learning_rate
        backbone_rate = head_rate * (
            config.backbone_learning_rate_share if config.backbone.pretrained else 1.0
        )
        self.optimizer = torch.optim.AdamW(
            [
                {"params": network.backbone.parameters(), "lr": backbone_rate},
                {"params": network.head.parameters(), "lr": head_rate},
            ],
            weight_decay=config.weight_decay,
        )
        total_steps = config.epochs * batches.per_epoch + 1
        if total_steps * WARM_UP_SHARE == 1:
            total_steps += 1  # torch divides by the length of the warm-up less one step
        self.one_cycle = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=[backbone_rate, head_rate],
            total_steps=total_steps,
            pct_start=WARM_UP_SHARE,
        )

    def run(self, validation: ValidationCovers) -> tuple[list[dict[str, float]], int]:
        """Every epoch's figures and the best epoch, whose weights the network then has."""
        history: list[dict[str, float]] = []
        best_epoch, best_state = 0, self.network.state_dict()
        for epoch in range(1, self.config.epochs + 1):
            with freed_memory_kept(self.device):  # an epoch long: what is kept fragments
                figures = self.run_epoch(epoch)
                figures |= validation.score(self.network, self.normalization, self.device)
            history.append(figures)
            self.listeners.on_epoch(epoch, figures)
            cosine = figures["validation_cosine"]
            if best_epoch == 0 or cosine > history[best_epoch - 1]["validation_cosine"]:
                best_epoch, best_state = epoch, copy.deepcopy(self.network.state_dict())
            elif epoch - best_epoch >= self.schedule.patience:
                break
        self.network.load_state_dict(best_state)
        return history, best_epoch

    def run_epoch(self, epoch: int) -> dict[str, float]:
        self.network.train()
        started, seen, total = time.monotonic(), 0, 0.0
        per_epoch = min(self.batches.n, self.batches.per_epoch * self.config.batch_size)
        for rows in self.batches.epoch():
            covers, targets = self.batches.batch(rows)
            loss = self._step(covers.to(self.device), targets.to(self.device))
            seen, total = seen + len(rows), total + loss * len(rows)
            done = (epoch - 1) * per_epoch + seen
            figures = {"epoch": float(epoch), "loss": loss}
            self.listeners.on_batch(done, self.config.epochs * per_epoch, figures)
        seconds = time.monotonic() - started
        return {
            "train_loss": total / seen,
            "learning_rate": float(self.one_cycle.get_last_lr()[1]),
            "covers_per_second": seen / seconds,
        }

    def _step(self, covers: Tensor, targets: Tensor) -> float:
        _, outputs = self.network(normalize(covers, self.normalization))
        loss = self.config.objective.loss(outputs, targets)
        if not torch.isfinite(loss):
            raise DataError(
                f"the training loss became {loss.item()}. Lower vision.learning_rate "
                f"({self.schedule.learning_rate})."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.one_cycle.step()
        return float(loss.item())
