"""Covers and targets: batches in random order to train on, held-out ones to judge by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cf_pipeline.errors import DataError
from cf_pipeline.vectors import Matrix
from cf_pipeline.vision.augmentation import STORED_ABOVE
from cf_pipeline.vision.backbones.backbone import Normalization
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.covers import decode_covers
from cf_pipeline.vision.devices import Execution
from cf_pipeline.vision.geometry import Shape
from cf_pipeline.vision.networks import CoverRegressor, normalize
from cf_pipeline.vision.objectives.objective import Statistics
from cf_pipeline.vision.relevance import Relevances

NDCG, LOSS = "validation_ndcg", "validation_loss"


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
    """Random order over covers decoded once, larger than the input where views are cut of them."""

    def __init__(
        self,
        examples: Examples,
        config: VisionConfig,
        shape: Shape,
        targets: Tensor,
        execution: Execution,
    ) -> None:
        self.shape, self.targets, self.config = shape, targets, config
        self.generator = torch.Generator().manual_seed(config.seed)
        self.covers = decode_covers(
            examples.paths,
            shape.enlarged(STORED_ABOVE) if config.augment else shape,
            config.fit,
            execution.scratch / "train.covers",
            n_threads=execution.threads,
        )
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
        """uint8 (N, height, width, 3) as decoded, and the objective's targets (N, ...)."""
        return torch.from_numpy(self.covers[rows.numpy()]), self.targets[rows]


class Validation:
    """Held-out covers, their folded-in factors, and who is relevant to whom among them."""

    def __init__(
        self,
        examples: Examples,
        config: VisionConfig,
        shape: Shape,
        statistics: Statistics,
        relevances: Relevances | None,
        execution: Execution,
    ) -> None:
        self.covers = decode_covers(
            examples.paths,
            shape,
            config.fit,
            execution.scratch / "validation.covers",
            n_threads=execution.threads,
        )
        factors = torch.tensor(examples.factors)
        self.targets = config.objective.targets(factors, statistics)
        # Whatever the targets are, networks tell where covers lie.
        self.directions = F.normalize(factors - statistics["mean"], dim=1)
        self.config, self.statistics, self.relevances = config, statistics, relevances
        asked = relevances is not None and math.isfinite(relevances.ndcg(examples.factors))
        self.chosen_by = NDCG if asked else LOSS

    def merit(self, figures: dict[str, float]) -> float:
        """What is chosen by, more being better: nDCG, or the loss where nobody is queried."""
        return figures[NDCG] if self.chosen_by == NDCG else -figures[LOSS]

    def score(
        self, network: CoverRegressor, normalization: Normalization, device: torch.device
    ) -> dict[str, float]:
        """The figures of a network, as `judge` gives them.

        Raises:
            DataError: the network predicts NaN or infinity.
        """
        network.eval()
        blocks = []
        with torch.inference_mode():
            for start in range(0, len(self.covers), self.config.batch_size):
                block = torch.from_numpy(self.covers[start : start + self.config.batch_size])
                _, given = network(normalize(block.to(device), normalization))
                blocks.append(given.cpu())
        return self.judge(torch.cat(blocks))

    def judge(self, outputs: Tensor) -> dict[str, float]:
        """`validation_loss`, `validation_cosine` and, where somebody is queried, `validation_ndcg`.

        Args:
            outputs: of the head for every validation cover, (n, n_outputs).

        Raises:
            DataError: one is NaN or infinity.
        """
        objective, batch_size = self.config.objective, self.config.batch_size
        if not torch.isfinite(outputs).all():
            raise DataError(
                "the network predicts NaN or infinity for validation covers. Lower "
                f"vision.learning_rate ({self.config.schedule.learning_rate})."
            )
        # In batches of the training size: a contrastive term depends on the batch.
        halves = (torch.split(part, batch_size) for part in (outputs, self.targets))
        losses = [objective.loss(o, t) * len(o) for o, t in zip(*halves, strict=True)]
        predicted = objective.predicted(outputs, self.statistics)
        cosine = F.cosine_similarity(predicted, self.directions, dim=1).mean()
        figures = {
            LOSS: float(sum(losses) / len(outputs)),
            "validation_cosine": float(cosine),
        }
        if self.relevances is not None and self.chosen_by == NDCG:
            figures[NDCG] = self.relevances.ndcg(predicted.numpy())
        return figures
