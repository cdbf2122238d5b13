"""Features of a network trained on ImageNet's labels, untouched: what behaviour must beat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from cf_pipeline.baselines.feature_set import FeatureSet
from cf_pipeline.vectors import Matrix, Progress, silent, unit_norm
from cf_pipeline.vision.backbones.backbone import ChosenBackbone
from cf_pipeline.vision.config import Fit

if TYPE_CHECKING:
    from cf_pipeline.vision.devices import Execution


class ImageNet(FeatureSet):
    """Pooled features of a pretrained backbone."""

    name: str = "imagenet"
    backbone: ChosenBackbone = Field(
        default="efficientnet_lite0",
        validate_default=True,
        description="efficientnet_lite0; or timm:<model>, torchvision:<model> with weights.",
    )
    image_size: int = Field(192, ge=16, description="Side of the square input in pixels.")
    fit: Fit = Field("squash", description="How a cover becomes that square.")

    def extract(
        self, paths: Sequence[Path], execution: Execution, progress: Progress = silent
    ) -> Matrix:
        """See FeatureSet."""
        return self.last_and_levels(paths, execution, progress)[0]

    def last_and_levels(
        self, paths: Sequence[Path], execution: Execution, progress: Progress = silent
    ) -> tuple[Matrix, Matrix]:
        """Pooled features, and all levels of the backbone side by side, in one pass.

        Mean and deviation of every level's channels and the pooled features are blocks of unit
        length, so that none is heard above the others. Shapes (n, d) and (n, d_levels).
        """
        import numpy as np

        from cf_pipeline.vision.embedding import embed_covers
        from cf_pipeline.vision.geometry import square
        from cf_pipeline.vision.networks import CoverInput, CoverRegressor, built, loaded

        backbone = built(self.backbone, self.image_size)
        loaded(backbone[0], self.backbone)
        network = CoverRegressor(backbone, n_outputs=1, levels=self.backbone.levels)
        cover_input = CoverInput(self.backbone.normalization(), square(self.image_size), self.fit)
        features, _ = embed_covers(network, cover_input, paths, execution, progress)
        blocks = np.split(features, np.cumsum(network.blocks)[:-1], axis=1)
        return blocks[-1], np.concatenate([unit_norm(block) for block in blocks], axis=1)
