"""Feature sets that nobody trained, as extractors: random weights, and colour.

The untrained network has the shape, the input and the initial distribution of the trained one, so
that what architecture alone gives is told apart from what training gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from cf_pipeline.baselines.config import BaselinesConfig
from cf_pipeline.baselines.simple import color_histograms
from cf_pipeline.vectors import FeatureExtractor, Matrix, Progress, silent
from cf_pipeline.vision.backbones import ARCHITECTURES, CoverInput, architecture_for
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.devices import Execution, seed_everything
from cf_pipeline.vision.embedding import embed_covers


@dataclass(frozen=True)
class RandomFeatures:
    """Pooled features of a network with random weights."""

    name: str
    n_dimensions: int
    network: nn.Module
    cover_input: CoverInput
    execution: Execution

    def extract(self, paths: Sequence[Path], progress: Progress = silent) -> Matrix:
        """float32 features, shape (len(paths), n_dimensions)."""
        (features,) = embed_covers(self.network, self.cover_input, paths, self.execution, progress)
        return features


@dataclass(frozen=True)
class ColorFeatures:
    """Square-rooted joint RGB histograms."""

    name: str
    n_dimensions: int
    n_bins: int
    execution: Execution

    def extract(self, paths: Sequence[Path], progress: Progress = silent) -> Matrix:
        """float32 histograms, shape (len(paths), n_bins ** 3)."""
        return color_histograms(
            paths, self.n_bins, n_threads=self.execution.threads, progress=progress
        )


def simple_features(
    baselines: BaselinesConfig, vision: VisionConfig, execution: Execution
) -> list[FeatureExtractor]:
    """The extractors `random` and `color`."""
    architecture = ARCHITECTURES[architecture_for(vision)]
    seed_everything(baselines.seed)
    network = _calibrated(architecture.build())
    cover_input = CoverInput(architecture, vision.image_size, vision.fit)
    return [
        RandomFeatures("random", architecture.n_features, network, cover_input, execution),
        ColorFeatures("color", baselines.color_bins**3, baselines.color_bins, execution),
    ]


def _calibrated(network: nn.Module) -> nn.Module:
    """Batch statistics of noise instead of none.

    With the statistics that layers start with (mean 0, variance 1) activations of a deep untrained
    network shrink to rounding errors; one pass over noise gives every layer a usable scale.
    """
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    generator = torch.Generator().manual_seed(0)
    network.train()
    with torch.no_grad():
        network(torch.randn(64, 3, 64, 64, generator=generator))
    return network.eval()
