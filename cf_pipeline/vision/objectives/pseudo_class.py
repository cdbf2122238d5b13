"""The paper's objective: clusters of factors as classes, and a network that tells them apart.

k-means on the directions of the train factors (Fang et al. 2015; "ClusterFit", Yan et al. 2020, is
the same idea with learned features). A mistake costs the same however near the other cluster lies,
so the network need not average between places that a cover could belong to.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from cf_pipeline.vision.objectives.objective import Objective, Statistics

if TYPE_CHECKING:
    from torch import Tensor

    from cf_pipeline.vectors import Matrix

_logger = logging.getLogger(__name__)


class PseudoClass(Objective):
    """Softmax over clusters; the predicted factor is the mean of the clusters' centres."""

    name: str = "pseudo_class"
    n_classes: int = Field(100, ge=2, description="Clusters of train factors.")
    balance: float = Field(
        1.0,
        ge=0,
        le=1,
        description="1 draws every class equally often, 0 every project; between: powers.",
    )
    seed: int = Field(0, ge=0, description="Draws the first centres of k-means.")

    gives_factors: ClassVar[bool] = False

    def statistics(self, factors: Matrix) -> dict[str, Tensor]:
        """Beside those of Objective `centroids`, float32 (m, k), m at most n_classes.

        k-means (Lloyd, the best of four k-means++ starts) on unit-norm factors less their mean.
        """
        import numpy as np
        import torch
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        known = super().statistics(factors)
        places = _directions(torch.tensor(factors), known).numpy()
        n_places = len(np.unique(places, axis=0))
        if n_places < self.n_classes:
            _logger.warning(
                "%d train projects have %d different factors: so many classes, not "
                "vision.objective.n_classes = %d",
                len(factors),
                n_places,
                self.n_classes,
            )
        clusters = KMeans(min(self.n_classes, n_places), n_init=4, random_state=self.seed)
        with threadpool_limits(limits=1):  # sums over threads have other last digits
            centroids = clusters.fit(places).cluster_centers_
        return {**known, "centroids": torch.tensor(centroids, dtype=torch.float32)}

    def n_outputs(self, n_factors: int) -> int:
        """One for each class."""
        return self.n_classes

    def targets(self, factors: Tensor, statistics: Statistics) -> Tensor:
        """The nearest centre of each, (N, k) to int64 (N,)."""
        import torch

        return torch.cdist(_directions(factors, statistics), statistics["centroids"]).argmin(dim=1)

    def draws(self, targets: Tensor) -> Tensor:
        """One over the size of a row's class, to the power `balance`, (N,) to (N,)."""
        sizes = targets.bincount(minlength=self.n_classes)
        chances: Tensor = sizes[targets].double() ** -self.balance
        return chances

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy in nats, (N, n_classes) and (N,) to a scalar."""
        import torch.nn.functional as F

        return F.cross_entropy(outputs, targets.long())

    def head_targets(self, targets: Tensor) -> Tensor:
        """Scores z whose softmax is, to first order, what a ridge can know of the classes.

        softmax(z)_c is about (1 + z_c) / n for small z, so z_c = n [class is c] - 1 has the
        chance of class c as its conditional mean. (N,) to (N, n_classes).
        """
        import torch.nn.functional as F

        return self.n_classes * F.one_hot(targets.long(), self.n_classes).float() - 1

    def predicted(self, outputs: Tensor, statistics: Statistics) -> Tensor:
        """Mean of the centres by the chances of their classes, (N, n_classes) to (N, k)."""
        centroids = statistics["centroids"]
        return outputs[:, : len(centroids)].softmax(dim=1) @ centroids


def _directions(factors: Tensor, statistics: Statistics) -> Tensor:
    import torch.nn.functional as F

    return F.normalize(factors - statistics["mean"], dim=1)
