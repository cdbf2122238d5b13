"""Several objectives at once, each with a weight.

Terms whose outputs are factors share them; one that asks for something else has outputs of its own
beside them, on the same features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from cf_pipeline.vision.objectives.objective import ChosenObjective, Objective, Statistics

if TYPE_CHECKING:
    from torch import Tensor

    from cf_pipeline.vectors import Matrix


class WeightedSum(Objective):
    """The sum of its terms' losses, each times its weight; factors are predicted by the first."""

    name: str = "weighted_sum"
    terms: tuple[ChosenObjective, ...] = Field(
        default=("regression", "pseudo_class"),
        validate_default=True,
        min_length=1,
        description="Objectives, by name or as tables.",
    )
    weights: tuple[float, ...] = Field(default=(1.0, 1.0), description="One for each term.")

    gives_factors: ClassVar[bool] = False

    @model_validator(mode="after")
    def _has_a_weight_for_each(self) -> Self:
        if any(isinstance(term, WeightedSum) for term in self.terms):
            raise ValueError("expected terms that are no sums themselves")
        if len(self.terms) != len(self.weights) or min(self.weights) < 0:
            raise ValueError(
                f"expected a weight of 0 or more for each of {len(self.terms)} terms, got "
                f"{self.weights}"
            )
        return self

    def statistics(self, factors: Matrix) -> dict[str, Tensor]:
        """Beside those of Objective each term's own, as `term0_mean`."""
        known = super().statistics(factors)
        for number, term in enumerate(self.terms):
            known |= {f"{_of(number)}{n}": v for n, v in term.statistics(factors).items()}
        return known

    def n_outputs(self, n_factors: int) -> int:
        """Factors once, and what the other terms have."""
        return (n_factors if self._shares else 0) + self._n_apart

    def targets(self, factors: Tensor, statistics: Statistics) -> Tensor:
        """Every term's targets side by side as floats, (N, k) to (N, sum of their widths).

        A class number is exact in float32 up to 2^24.
        """
        import torch

        given = [
            term.targets(factors, _known(statistics, number))
            for number, term in enumerate(self.terms)
        ]
        return torch.cat([t.reshape(len(factors), -1).float() for t in given], dim=1)

    def draws(self, targets: Tensor) -> Tensor | None:
        """As the first term that draws says."""
        for term, wanted in zip(self.terms, self._targets_of(targets), strict=True):
            chances = term.draws(wanted)
            if chances is not None:
                return chances
        return None

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Where all were drawn alike; (N, n_outputs) and targets to a scalar."""
        return self.loss_as_drawn(outputs, targets, targets.new_zeros(len(targets)))

    def loss_as_drawn(self, outputs: Tensor, targets: Tensor, log_chances: Tensor) -> Tensor:
        """See Objective."""
        parts = zip(
            self.terms,
            self.weights,
            self._outputs_of(outputs),
            self._targets_of(targets),
            strict=True,
        )
        losses = [w * term.loss_as_drawn(o, t, log_chances) for term, w, o, t in parts]
        return sum(losses[1:], losses[0])

    def head_targets(self, targets: Tensor) -> Tensor | None:
        """What terms ask of a ridge, the shared outputs once; None where one asks nothing."""
        import torch

        shared: list[Tensor] = []
        apart: list[Tensor] = []
        for term, wanted in zip(self.terms, self._targets_of(targets), strict=True):
            asked = term.head_targets(wanted)
            if asked is None:
                return None
            if not term.gives_factors:
                apart.append(asked)
            elif not shared:
                shared.append(asked)
        return torch.cat([*shared, *apart], dim=1)

    def predicted(self, outputs: Tensor, statistics: Statistics) -> Tensor:
        """As the first term reads its outputs."""
        return self.terms[0].predicted(self._outputs_of(outputs)[0], _known(statistics, 0))

    @property
    def _shares(self) -> bool:
        return any(term.gives_factors for term in self.terms)

    @property
    def _n_apart(self) -> int:
        # What gives no factors does not depend on their number.
        return sum(term.n_outputs(0) for term in self.terms if not term.gives_factors)

    def _outputs_of(self, outputs: Tensor) -> list[Tensor]:
        """Each term's columns of the outputs."""
        column = outputs.shape[1] - self._n_apart
        parts = []
        for term in self.terms:
            if term.gives_factors:
                parts.append(outputs[:, : outputs.shape[1] - self._n_apart])
                continue
            width = term.n_outputs(0)
            parts.append(outputs[:, column : column + width])
            column += width
        return parts

    def _targets_of(self, targets: Tensor) -> list[Tensor]:
        """Each term's targets as it gave them, but for class numbers, which are floats."""
        n_classes = sum(not term.gives_factors for term in self.terms)
        n_shared = len(self.terms) - n_classes
        width = (targets.shape[1] - n_classes) // n_shared if n_shared else 0
        parts, column = [], 0
        for term in self.terms:
            if term.gives_factors:
                parts.append(targets[:, column : column + width])
                column += width
            else:
                parts.append(targets[:, column].long())
                column += 1
        return parts


def _of(number: int) -> str:
    return f"term{number}_"


def _known(statistics: Statistics, number: int) -> dict[str, Any]:
    """A term's own statistics."""
    prefix = _of(number)
    return {n.removeprefix(prefix): v for n, v in statistics.items() if n.startswith(prefix)}
