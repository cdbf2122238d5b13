"""What an objective is: which targets factors make, and what it costs to miss them.

The settings of an objective are its fields. A configuration is resolved without torch, so files of
objectives import it inside their functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BeforeValidator, SerializeAsAny

from cf_pipeline.registry import Method, Registry

if TYPE_CHECKING:
    from torch import Tensor

    from cf_pipeline.vectors import Matrix

Statistics = Mapping[str, "Tensor"]
"""What is remembered of the train factors: tensors on the CPU, by names without a dot."""


class Objective(Method):
    """Base of the objectives; `targets` and `loss` are all that one has to say.

    Attributes:
        layers: vectors of a cover that are features, out of what the network gives.
        gives_factors: whether outputs are predicted factors; else a target is one number a row,
            and the number of outputs does not depend on that of factors.
    """

    layers: ClassVar[tuple[str, ...]] = ("collaborative", "predicted_factors")
    gives_factors: ClassVar[bool] = True

    def targets(self, factors: Tensor, statistics: Statistics) -> Tensor:
        """What the network is asked for: factors (N, k) to one target per row, (N, ...).

        Args:
            factors: float32, of train or of held-out projects.
            statistics: of the train factors, so that both are measured from the same place.
        """
        raise NotImplementedError

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch: outputs of the head (N, n_outputs) and targets to a scalar."""
        raise NotImplementedError

    def loss_as_drawn(self, outputs: Tensor, targets: Tensor, log_chances: Tensor) -> Tensor:
        """The loss of a batch whose projects were not all equally likely to be in it.

        By default `loss`; one that compares a batch's projects corrects for it.

        Args:
            outputs: of the head, (N, n_outputs).
            targets: (N, ...).
            log_chances: log of how much likelier each was drawn than on average, (N,).
        """
        return self.loss(outputs, targets)

    def draws(self, targets: Tensor) -> Tensor | None:
        """How likely each row is drawn, up to a factor, (N, ...) to (N,); None: all alike."""
        return None

    def statistics(self, factors: Matrix) -> dict[str, Tensor]:
        """What `targets` and `predicted` need to know of the train factors, float32 (N, k).

        `mean` (k,), and `scale`, the root mean square distance from it, a scalar. An objective that
        learns more of them, such as centroids, adds it: the checkpoint keeps all of it.
        """
        import torch

        mean = torch.from_numpy(factors.mean(axis=0))
        scale = (torch.tensor(factors) - mean).square().sum(dim=1).mean().sqrt()
        return {"mean": mean, "scale": scale}

    def n_outputs(self, n_factors: int) -> int:
        """How many outputs the head has where a factor has n_factors numbers."""
        return n_factors

    def head_targets(self, targets: Tensor) -> Tensor | None:
        """What a ridge fits the head to before training, (N, n_outputs); None: it starts at random.

        By default the targets themselves, where they are rows of numbers.
        """
        return targets if targets.ndim == 2 and targets.is_floating_point() else None

    def predicted(self, outputs: Tensor, statistics: Statistics) -> Tensor:
        """Predicted factors less the mean of the train factors, up to length.

        Outputs (N, n_outputs) to (N, k); by default the outputs themselves.
        """
        return outputs


OBJECTIVES = Registry(
    sort="objective",
    base="cf_pipeline.vision.objectives.objective:Objective",
    entries={
        "contrastive": "cf_pipeline.vision.objectives.contrastive:Contrastive",
        "cosine": "cf_pipeline.vision.objectives.cosine:Cosine",
        "pseudo_class": "cf_pipeline.vision.objectives.pseudo_class:PseudoClass",
        "regression": "cf_pipeline.vision.objectives.regression:Regression",
        "weighted_sum": "cf_pipeline.vision.objectives.weighted_sum:WeightedSum",
    },
    entry_points="cf_pipeline.objectives",
)
ChosenObjective = Annotated[SerializeAsAny[Objective], BeforeValidator(OBJECTIVES.choose)]
"""A field that holds an objective: its name, or a table with `name` and its settings."""
