"""Features of a network trained on ImageNet's labels, untouched: what behaviour must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from cf_pipeline.baselines.config import BaselinesConfig
from cf_pipeline.vectors import Matrix, Progress, silent
from cf_pipeline.vision.backbones import Architecture, CoverInput, named_backbone
from cf_pipeline.vision.devices import Execution
from cf_pipeline.vision.embedding import embed_covers


@dataclass(frozen=True)
class ImageNetFeatures:
    """Pooled features of a labelled network.

    Attributes:
        name: `imagenet`.
        n_dimensions: length of a feature vector.
        weights_sha256: hash of the weight file.
    """

    name: str
    n_dimensions: int
    weights_sha256: str
    network: nn.Module
    architecture: Architecture
    config: BaselinesConfig
    execution: Execution

    def extract(self, paths: Sequence[Path], progress: Progress = silent) -> Matrix:
        """float32 features, shape (len(paths), n_dimensions)."""
        (features,) = embed_covers(
            self.network,
            CoverInput(
                self.architecture, self.config.imagenet_image_size, self.config.imagenet_fit
            ),
            paths,
            self.execution,
            progress,
        )
        return features


def imagenet_features(config: BaselinesConfig, execution: Execution) -> ImageNetFeatures:
    """The extractor that the configuration names.

    Raises:
        ConfigError: unknown model, or no usable weight file.
    """
    weights = Path(config.imagenet_weights) if config.imagenet_weights else None
    network, architecture, digest = named_backbone(config.imagenet_model, weights)
    return ImageNetFeatures(
        "imagenet",
        architecture.n_features,
        digest,
        network,
        architecture,
        config,
        execution,
    )
