"""Covers and targets in batches: random order, crop and flip to train on, plain to validate on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cf_pipeline.errors import DataError
from cf_pipeline.vectors import Matrix
from cf_pipeline.vision.backbones.backbone import Normalization
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.covers import decode_covers
from cf_pipeline.vision.devices import Execution
from cf_pipeline.vision.networks import CoverRegressor, normalize
from cf_pipeline.vision.objectives.objective import Statistics

CROP_MARGIN = 1.125
"""Training covers are decoded this much larger than the input, for random crops."""


@dataclass(frozen=True)
class Examples:
    """Covers and the factors of their projects, row by row.

    Attributes:
        paths: n cover files.
        factors: float32, shape (n, n_factors), finite.

    Raises:
        DataError: lengths differ, or a factor is not finite.
    """

    paths: tuple[Path, ...]
    factors: Matrix

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


class TrainBatches:
    """Random order, random crop and flip over covers decoded once."""

    def __init__(
        self,
        examples: Examples,
        config: VisionConfig,
        statistics: Statistics,
        execution: Execution,
        generator: torch.Generator,
    ) -> None:
        self.image_size = config.schedule.image_size
        size = round(self.image_size * CROP_MARGIN) if config.augment else self.image_size
        self.covers = decode_covers(
            examples.paths,
            size,
            config.fit,
            execution.scratch / "train.covers",
            n_threads=execution.threads,
        )
        self.targets = config.objective.targets(torch.tensor(examples.factors), statistics)
        self.config, self.generator = config, generator
        self.n = len(examples.paths)

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch: the last, short batch is left out unless it is the only one."""
        return max(1, self.n // self.config.batch_size)

    def epoch(self) -> list[Tensor]:
        """Row numbers of each batch."""
        order = torch.randperm(self.n, generator=self.generator)
        return list(
            torch.split(order[: self.per_epoch * self.config.batch_size], self.config.batch_size)
        )

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, size, size, 3) and the objective's targets (N, ...)."""
        size, margin = self.image_size, self.covers.shape[1] - self.image_size
        if not self.config.augment:
            return torch.from_numpy(self.covers[rows.numpy()]), self.targets[rows]
        offsets = torch.randint(0, margin + 1, (len(rows), 2), generator=self.generator).tolist()
        flips = torch.rand(len(rows), generator=self.generator) < 0.5
        out = np.empty((len(rows), size, size, 3), dtype=np.uint8)
        for i, (row, (y, x), flip) in enumerate(
            zip(rows.tolist(), offsets, flips.tolist(), strict=True)
        ):
            crop = self.covers[row, y : y + size, x : x + size]
            out[i] = crop[:, ::-1] if flip else crop
        return torch.from_numpy(out), self.targets[rows]


class ValidationCovers:
    """Held-out covers and their folded-in factors."""

    def __init__(
        self, examples: Examples, config: VisionConfig, statistics: Statistics, execution: Execution
    ) -> None:
        self.covers = decode_covers(
            examples.paths,
            config.schedule.image_size,
            config.fit,
            execution.scratch / "validation.covers",
            n_threads=execution.threads,
        )
        factors = torch.tensor(examples.factors)
        self.targets = config.objective.targets(factors, statistics)
        # Whatever the targets are, networks are compared by where they say that covers lie.
        self.directions = F.normalize(factors - statistics["mean"], dim=1)
        self.config, self.statistics = config, statistics

    def score(
        self, network: CoverRegressor, normalization: Normalization, device: torch.device
    ) -> dict[str, float]:
        """`validation_loss` and `validation_cosine`.

        Raises:
            DataError: the network predicts NaN or infinity.
        """
        network.eval()
        objective, batch_size, blocks = self.config.objective, self.config.batch_size, []
        with torch.inference_mode():
            for start in range(0, len(self.covers), batch_size):
                block = torch.from_numpy(self.covers[start : start + batch_size])
                _, given = network(normalize(block.to(device), normalization))
                blocks.append(given.cpu())
            outputs = torch.cat(blocks)
            if not torch.isfinite(outputs).all():
                raise DataError(
                    "the network predicts NaN or infinity for validation covers. Lower "
                    f"vision.learning_rate ({self.config.schedule.learning_rate})."
                )
            # In batches of the training size: a contrastive term depends on the batch.
            losses = [
                objective.loss(o, t) * len(o)
                for o, t in zip(
                    torch.split(outputs, batch_size),
                    torch.split(self.targets, batch_size),
                    strict=True,
                )
            ]
            predicted = objective.predicted(outputs, self.statistics)
            cosine = F.cosine_similarity(predicted, self.directions, dim=1).mean()
        return {
            "validation_loss": float(sum(losses) / len(outputs)),
            "validation_cosine": float(cosine),
        }
