"""Features of a network trained on ImageNet's labels, untouched: what behaviour must beat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from cf_pipeline.baselines.feature_set import FeatureSet
from cf_pipeline.vectors import Matrix, Progress, silent
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
    fit: Fit = Field("crop", description="How a cover becomes a square.")

    def extract(
        self, paths: Sequence[Path], execution: Execution, progress: Progress = silent
    ) -> Matrix:
        """See FeatureSet."""
        from cf_pipeline.vision.embedding import embed_covers
        from cf_pipeline.vision.networks import CoverInput, initialized

        network, _ = initialized(self.backbone, self.image_size)
        cover_input = CoverInput(self.backbone.normalization(), self.image_size, self.fit)
        (features,) = embed_covers(network, cover_input, paths, execution, progress)
        return features
