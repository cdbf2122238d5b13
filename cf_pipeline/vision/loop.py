"""The loop of a training: optimizer, schedule, epochs of steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cf_pipeline.errors import DataError
from cf_pipeline.vision.augmentation import random_views
from cf_pipeline.vision.batches import TrainBatches
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.networks import CoverRegressor, normalize

WARM_UP_SHARE = 0.1
"""Share of the steps in which the learning rate rises; then it falls to zero along a cosine."""
_MAX_NORM = 5.0

History = list[dict[str, float]]


@dataclass(frozen=True)
class Listeners:
    """Who hears about training; every callback may be left out."""

    on_batch: Callable[[int, int, dict[str, float]], None] = lambda done, total, figures: None
    """covers seen so far, covers in all epochs, `epoch`, `loss`."""
    on_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, figures: None
    """epoch, `train_loss`, `validation_loss`, `validation_ndcg`, ...; epoch 0 is the floor."""


class Loop:
    """A network in training.

    Args:
        network: on its device.
        config: rates, augmentation, what stays frozen.
        batches: train covers and targets.
        device: where the network is.
        listeners: hear every step.
    """

    def __init__(
        self,
        network: CoverRegressor,
        config: VisionConfig,
        batches: TrainBatches,
        device: torch.device,
        listeners: Listeners,
    ) -> None:
        self.network, self.config, self.batches = network, config, batches
        self.device, self.listeners = device, listeners
        self.normalization = config.backbone.normalization()
        for name in config.frozen:
            network.backbone.get_submodule(name).requires_grad_(requires_grad=False)
        self.optimizer = torch.optim.AdamW(list(_groups(network, config)))
        self.total_steps = config.epochs * batches.per_epoch
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._share)

    def epoch(self, number: int) -> dict[str, float]:
        """Every step of an epoch, from 1; its loss, rate and speed."""
        self._to_training()
        started, seen, total = time.monotonic(), 0, 0.0
        per_epoch = min(self.batches.n, self.batches.per_epoch * self.config.batch_size)
        for rows in self.batches.epoch():
            covers, targets = self.batches.batch(rows)
            loss = self._step(covers.to(self.device), targets.to(self.device))
            seen, total = seen + len(rows), total + loss * len(rows)
            done = (number - 1) * per_epoch + seen
            figures = {"epoch": float(number), "loss": loss}
            self.listeners.on_batch(done, self.config.epochs * per_epoch, figures)
        seconds = time.monotonic() - started
        return {
            "train_loss": total / seen,
            "learning_rate": float(self.schedule.get_last_lr()[-1]),
            "covers_per_second": seen / seconds,
        }

    def _to_training(self) -> None:
        """Training mode; statistics of batches stay as they were learned, if so configured."""
        self.network.train()
        for name in self.config.frozen:
            self.network.backbone.get_submodule(name).eval()
        if self.config.keeps_batch_norm:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _share(self, step: int) -> float:
        """Of the peak rate: a line up, then half a cosine down to zero at the last step."""
        warm_up = max(1, round(WARM_UP_SHARE * self.total_steps))
        if step >= self.total_steps:
            return 0.0
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (self.total_steps - warm_up)))

    def _step(self, covers: Tensor, targets: Tensor) -> float:
        inputs = normalize(covers, self.normalization)
        if self.config.augment:
            inputs = random_views(
                inputs,
                self.batches.shape,
                self.config.crop_area,
                self.config.jitter,
                self.batches.generator,
            )
        _, outputs = self.network(inputs)
        loss = self.config.objective.loss(outputs, targets)
        if not torch.isfinite(loss):
            raise DataError(
                f"the training loss became {loss.item()}. Lower vision.learning_rate "
                f"({self.config.schedule.learning_rate})."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _MAX_NORM)
        self.optimizer.step()
        self.schedule.step()
        return float(loss.item())


def _groups(network: CoverRegressor, config: VisionConfig) -> Iterator[dict[str, Any]]:
    """Parameters with their rate and decay: norms and biases have one dimension, and no decay."""
    rate = config.schedule.learning_rate
    share = config.backbone_learning_rate_share if config.backbone.pretrained else 1.0
    for part, lr in ((network.backbone, rate * share), (network.head, rate)):
        trained = [p for p in part.parameters() if p.requires_grad]
        yield {
            "params": [p for p in trained if p.ndim > 1],
            "lr": lr,
            "weight_decay": config.weight_decay,
        }
        yield {"params": [p for p in trained if p.ndim <= 1], "lr": lr, "weight_decay": 0.0}
