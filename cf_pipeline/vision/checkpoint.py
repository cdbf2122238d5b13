"""A trained network as two files: weights as safetensors, everything else as a JSON manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict

from cf_pipeline.errors import DataError
from cf_pipeline.vision.backbones import ARCHITECTURES, CoverInput, CoverRegressor
from cf_pipeline.vision.config import Fit

WEIGHTS = "weights.safetensors"
MANIFEST = "manifest.json"


class Manifest(BaseModel):
    """What one must know to use the weights, and how they came to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    image_size: int
    """Side of the square input in pixels."""
    fit: Fit
    """How a cover becomes a square."""
    n_features: int
    n_factors: int
    objective: Literal["contrastive", "regression"]
    target_mean: list[float]
    """Mean of the train factors, taken away from targets; predicted factors have none of it."""
    initial_weights: str
    """`random`, or the SHA-256 of the pretrained weight file; that of the first of a chain of warm
    starts."""
    started_from: str | None = None
    """model_version of the checkpoint that training continued from; none: a cold start."""
    best_epoch: int
    validation_cosine: float
    """Mean cosine of predicted to folded-in factors of validation projects at that epoch."""
    n_train: int
    n_validation: int
    configuration: dict[str, object]
    """The resolved section `vision`."""
    torch_version: str


def save_checkpoint(folder: Path, network: CoverRegressor, manifest: Manifest) -> None:
    """Write weights and manifest below an existing folder."""
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    safetensors.torch.save_file(state, folder / WEIGHTS)
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a checkpoint folder.

    Raises:
        DataError: it is not there.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(
            f"no checkpoint in {folder}: {MANIFEST} is missing. Materialize trained_cnn again."
        )
    return Manifest.model_validate_json(path.read_text(encoding="utf-8"))


def load_checkpoint(folder: Path) -> tuple[CoverRegressor, Manifest]:
    """The network in evaluation mode on the CPU, and its manifest.

    Raises:
        DataError: a file is missing.
    """
    manifest = read_manifest(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise DataError(f"{weights} is missing. Materialize trained_cnn again.")
    network = CoverRegressor(ARCHITECTURES[manifest.architecture], manifest.n_factors, 0.0)
    network.load_state_dict(safetensors.torch.load_file(weights))
    network.eval()
    return network.to(memory_format=torch.channels_last), manifest


def checkpoint_input(manifest: Manifest) -> CoverInput:
    """How the network of a manifest wants to see a cover."""
    return CoverInput(ARCHITECTURES[manifest.architecture], manifest.image_size, manifest.fit)
