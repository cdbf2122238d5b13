"""The loop of a training: epochs of steps, and who hears of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cf_pipeline.errors import DataError
from cf_pipeline.vision.augmentation import random_views
from cf_pipeline.vision.batches import TrainBatches
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.descent import Descent
from cf_pipeline.vision.networks import CoverRegressor, normalize

History = list[dict[str, float]]


@dataclass(frozen=True)
class Listeners:
    """Who hears about training; every callback may be left out."""

    on_batch: Callable[[int, int, dict[str, float]], None] = lambda done, total, figures: None
    """covers seen so far, covers in all epochs, `epoch`, `loss`."""
    on_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, figures: None
    """epoch, `train_loss`, `validation_loss`, `validation_ndcg`, ...; epoch 0 is the floor."""
    on_neighbours: Callable[[int, Sequence[Sequence[int]]], None] = lambda epoch, rows: None
    """epoch, and for a few validation covers their row and those of the nearest by prediction."""


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
        self.descent = Descent(network, config, config.epochs * batches.per_epoch)

    def epoch(self, number: int) -> dict[str, float]:
        """Every step of an epoch, from 1; its loss, rate and speed."""
        self._to_training()
        started, seen, total = time.monotonic(), 0, 0.0
        per_epoch = min(self.batches.n, self.batches.per_epoch * self.config.batch_size)
        for rows in self.batches.epoch():
            loss = self._step(*(part.to(self.device) for part in self.batches.batch(rows)))
            seen, total = seen + len(rows), total + loss * len(rows)
            done = (number - 1) * per_epoch + seen
            figures = {"epoch": float(number), "loss": loss}
            self.listeners.on_batch(done, self.config.epochs * per_epoch, figures)
        seconds = time.monotonic() - started
        return {
            "train_loss": total / seen,
            "learning_rate": self.descent.learning_rate,
            "covers_per_second": seen / seconds,
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "network": self.network.state_dict(),
            "descent": self.descent.state_dict(),
            "batches": self.batches.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a loop of the same network, covers and configuration was."""
        self.network.load_state_dict(state["network"])
        self.descent.load_state_dict(state["descent"])
        self.batches.generator.set_state(state["batches"])
        torch.set_rng_state(state["torch"])
        if state["cuda"]:
            torch.cuda.set_rng_state_all(state["cuda"])

    def _to_training(self) -> None:
        """Training mode; statistics of batches stay as they were learned, if so configured."""
        self.network.train()
        for name in self.config.frozen:
            self.network.backbone.get_submodule(name).eval()
        if self.config.keeps_batch_norm:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _step(self, covers: Tensor, targets: Tensor, log_chances: Tensor) -> float:
        inputs = normalize(covers, self.normalization)
        if self.config.augment:
            inputs = random_views(
                inputs,
                self.batches.shape,
                self.config.crop_area,
                self.config.jitter,
                self.batches.generator,
            )
        mixed = self.config.precision == "mixed"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=mixed):
            _, outputs = self.network(inputs)
        loss = self.config.objective.loss_as_drawn(outputs.float(), targets, log_chances)
        if not torch.isfinite(loss):
            raise DataError(
                f"the training loss became {loss.item()}. Lower vision.learning_rate "
                f"({self.config.schedule.learning_rate})."
            )
        self.descent.step(loss)
        return float(loss.item())
