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
from cf_pipeline.vision.backbones import Architecture, CoverRegressor, normalize
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.covers import decode_covers
from cf_pipeline.vision.devices import Execution
from cf_pipeline.vision.objectives import TargetFrame, objective, prepare_targets

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
        frame: TargetFrame,
        execution: Execution,
        generator: torch.Generator,
    ) -> None:
        size = round(config.image_size * CROP_MARGIN) if config.augment else config.image_size
        self.covers = decode_covers(
            examples.paths,
            size,
            config.fit,
            execution.scratch / "train.covers",
            n_threads=execution.threads,
        )
        self.targets = prepare_targets(torch.tensor(examples.factors), frame, config)
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
        """uint8 (N, size, size, 3) and targets (N, k)."""
        size, margin = self.config.image_size, self.covers.shape[1] - self.config.image_size
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
        self, examples: Examples, config: VisionConfig, frame: TargetFrame, execution: Execution
    ) -> None:
        self.covers = decode_covers(
            examples.paths,
            config.image_size,
            config.fit,
            execution.scratch / "validation.covers",
            n_threads=execution.threads,
        )
        self.targets = prepare_targets(torch.tensor(examples.factors), frame, config)
        self.config = config

    def score(
        self, network: CoverRegressor, architecture: Architecture, device: torch.device
    ) -> dict[str, float]:
        """`validation_loss` and `validation_cosine`.

        Raises:
            DataError: the network predicts NaN or infinity.
        """
        network.eval()
        predicted = []
        with torch.inference_mode():
            for start in range(0, len(self.covers), self.config.batch_size):
                block = torch.from_numpy(self.covers[start : start + self.config.batch_size])
                _, factors = network(normalize(block.to(device), architecture))
                predicted.append(factors.cpu())
            joined = torch.cat(predicted)
            if not torch.isfinite(joined).all():
                raise DataError(
                    "the network predicts NaN or infinity for validation covers. Lower "
                    f"vision.learning_rate ({self.config.learning_rate})."
                )
            # In batches of the training size: the contrastive term depends on the batch.
            losses = [
                objective(p, t, self.config) * len(p)
                for p, t in zip(
                    torch.split(joined, self.config.batch_size),
                    torch.split(self.targets, self.config.batch_size),
                    strict=True,
                )
            ]
            cosine = F.cosine_similarity(joined, self.targets, dim=1).mean()
        return {
            "validation_loss": float(sum(losses) / len(joined)),
            "validation_cosine": float(cosine),
        }
