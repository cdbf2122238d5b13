"""What a training begins with: a backbone as configured, or an earlier checkpoint that fits."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cf_pipeline.vision.checkpoint import Manifest
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.networks import CoverEncoder, CoverRegressor, built, loaded

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """An earlier checkpoint whose weights training continues from.

    Attributes:
        network: its network, which is copied.
        manifest: its manifest.
        model_version: its id.
    """

    network: CoverEncoder
    manifest: Manifest
    model_version: str


def initial_network(
    config: VisionConfig, n_factors: int, start: Start | None
) -> tuple[CoverRegressor, str, Start | None]:
    """The network as training begins, where its weights are from, and the start if it is one."""
    backbone = built(config.backbone, config.schedule.image_size)
    n_outputs = config.objective.n_outputs(n_factors)
    network = CoverRegressor(backbone, n_outputs, config.dropout, config.pooled)
    if start is not None and _continues(start, network, config, n_factors):
        network.load_state_dict(start.network.regressor.state_dict())
        return network, start.manifest.initial_weights, start
    return network, loaded(network.backbone, config.backbone), None


def _continues(start: Start, network: CoverRegressor, config: VisionConfig, n_factors: int) -> bool:
    """Whether a start is of the network that is asked for; a warning where it is not."""
    theirs, ours = start.network.regressor.state_dict(), network.state_dict()
    compared = {
        "backbone": (_named(start.manifest.backbone), _named(config.backbone.model_dump())),
        "objective": (start.manifest.objective["name"], config.objective.name),
        "n_factors": (start.manifest.n_factors, n_factors),
    }
    differing = [f"{what} {a} instead of {b}" for what, (a, b) in compared.items() if a != b]
    if not differing and _shapes(theirs) != _shapes(ours):
        shape = " x ".join(map(str, start.manifest.shape))
        differing = [f"tensors of other shapes, by covers of {shape} or its objective's settings"]
    if differing:
        _logger.warning(
            "checkpoint %s has %s: training starts as configured (vision.backbone = %s), not from "
            "it",
            start.model_version,
            " and ".join(differing),
            config.backbone.name,
        )
    return not differing


def _named(backbone: dict[str, Any]) -> str:
    """Name and settings; weights that a network began with do not make it another one."""
    settings = {k: v for k, v in backbone.items() if k not in {"name", "weights"}}
    return " ".join([backbone["name"], *(f"{k}={v}" for k, v in sorted(settings.items()))])


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}
