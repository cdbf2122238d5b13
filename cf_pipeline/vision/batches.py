"""Covers and targets: batches in random order to train on, held-out ones to judge by."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cf_pipeline.errors import DataError
from cf_pipeline.vision.augmentation import STORED_ABOVE
from cf_pipeline.vision.backbones.backbone import Normalization
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.covers import decode_covers
from cf_pipeline.vision.devices import Execution
from cf_pipeline.vision.examples import Examples
from cf_pipeline.vision.geometry import Shape
from cf_pipeline.vision.networks import CoverRegressor, normalize
from cf_pipeline.vision.objectives.objective import Statistics
from cf_pipeline.vision.relevance import Relevances

NDCG, LOSS = "validation_ndcg", "validation_loss"
_SHOWN, _NEAREST = 8, 6  # of a panel: queries, and the nearest of each


class TrainBatches:
    """Random order over covers decoded once, larger than the input where views are cut of them.

    Every cover comes once an epoch; or, where the configuration weighs projects or the objective
    says how often rows are drawn, as often as that says, by chance.
    """

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
        self.chances = _chances(examples, config, targets)
        even = torch.zeros(self.n)
        self.log_chances = even if self.chances is None else self.chances.log().float()

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch: the last, short batch is left out unless it is the only one."""
        return max(1, self.n // self.config.batch_size)

    def epoch(self) -> list[Tensor]:
        """Row numbers of each batch."""
        shown = min(self.n, self.per_epoch * self.config.batch_size)
        if self.chances is None:
            order = torch.randperm(self.n, generator=self.generator)[:shown]
        else:
            order = torch.multinomial(
                self.chances, shown, replacement=True, generator=self.generator
            )
        return list(torch.split(order, self.config.batch_size))

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 (N, height, width, 3) as decoded, the objective's targets and log chances (N,)."""
        covers = torch.from_numpy(self.covers[rows.numpy()])
        return covers, self.targets[rows.to(self.targets.device)], self.log_chances[rows]


def _chances(examples: Examples, config: VisionConfig, targets: Tensor) -> Tensor | None:
    """How likely each row is drawn, float64 (n,) of mean 1; None: all alike."""
    drawn, weights = config.objective.draws(targets.cpu()), examples.weights(config)
    if drawn is None and weights is None:
        return None
    chances = torch.ones(len(targets), dtype=torch.float64)
    for part in (drawn, None if weights is None else torch.from_numpy(weights)):
        chances = chances if part is None else chances * part
    return chances / chances.mean()


class Judge:
    """What validation makes of outputs: folded-in factors, and who is relevant to whom."""

    def __init__(
        self,
        examples: Examples,
        config: VisionConfig,
        statistics: Statistics,
        relevances: Relevances | None,
    ) -> None:
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

    def nearest(self, outputs: Tensor) -> list[list[int]]:
        """A few queries and who is near by predicted factors, see Relevances; nobody: none."""
        if self.relevances is None:
            return []
        predicted = self.config.objective.predicted(outputs, self.statistics)
        return self.relevances.nearest(predicted.numpy(), _SHOWN, _NEAREST)

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


class Validation(Judge):
    """Held-out covers beside what they are judged by."""

    def __init__(
        self,
        examples: Examples,
        config: VisionConfig,
        shape: Shape,
        statistics: Statistics,
        relevances: Relevances | None,
        execution: Execution,
    ) -> None:
        super().__init__(examples, config, statistics, relevances)
        self.covers = decode_covers(
            examples.paths,
            shape,
            config.fit,
            execution.scratch / "validation.covers",
            n_threads=execution.threads,
        )

    def outputs(
        self, network: CoverRegressor, normalization: Normalization, device: torch.device
    ) -> Tensor:
        """What the head gives for every validation cover, (n, n_outputs), on the CPU."""
        network.eval()
        blocks = []
        with torch.inference_mode():
            for start in range(0, len(self.covers), self.config.batch_size):
                block = torch.from_numpy(self.covers[start : start + self.config.batch_size])
                _, given = network(normalize(block.to(device), normalization))
                blocks.append(given.cpu())
        return torch.cat(blocks)
