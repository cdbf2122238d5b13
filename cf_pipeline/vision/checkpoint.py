"""A trained network as two files: weights as safetensors, everything else as a JSON manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from safetensors import SafetensorError

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.vision.backbones.backbone import BACKBONES
from cf_pipeline.vision.backbones.vectors import NAME as VECTORS
from cf_pipeline.vision.config import Fit
from cf_pipeline.vision.geometry import Shape
from cf_pipeline.vision.networks import CoverEncoder, CoverInput, CoverRegressor
from cf_pipeline.vision.objectives.objective import OBJECTIVES

WEIGHTS = "weights.safetensors"
MANIFEST = "manifest.json"
_STATISTICS = "statistics."
"""What names of the objective's tensors begin with in the weights."""


class Manifest(BaseModel):
    """What one must know to use the weights, and how they came to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: dict[str, Any]
    """Its name and settings. Names alone, so that a manifest is read where the class is not."""
    objective: dict[str, Any]
    """Its name and settings."""
    shape: tuple[int, int]
    """Height and width of the input in pixels."""
    fit: Fit
    """How a cover gets that shape."""
    n_features: int
    levels: dict[str, int] = {}
    """Modules of the backbone that are pooled beside its last layer, with their channels."""
    n_factors: int
    target_mean: list[float]
    """Mean of the train factors, taken away from targets; predicted factors have none of it."""
    initial_weights: str
    """`random`, or the SHA-256 of the pretrained weight file; that of the first of a chain of warm
    starts."""
    started_from: str | None = None
    """model_version of the checkpoint that training continued from; none: a cold start."""
    best_epoch: int
    """0: no training at all; of a pretrained backbone, the best ridge on its features."""
    share_of_end: float | None = None
    """Of the end of training in the weights, the rest being epoch 0's; none: the best epoch's."""
    chosen_by: str = "validation_cosine"
    """The figure of the history that chose between the end of training and epoch 0."""
    head_strength: float | None = None
    """Of that ridge, in units of the mean eigenvalue; none: the head was another's."""
    validation_ndcg: float | None = None
    """Mean nDCG at 10 of predicted factors on the judge's validation queries at that epoch; none:
    there were none."""
    validation_cosine: float
    """Mean cosine of predicted to folded-in factors of validation projects at that epoch."""
    n_train: int
    n_validation: int
    configuration: dict[str, Any]
    """The resolved section `vision`, as the release that trained it wrote it."""
    torch_version: str

    @property
    def reads_vectors(self) -> bool:
        """Whether it is a head on vectors from outside, and no network."""
        return bool(self.backbone["name"] == VECTORS)

    @model_validator(mode="before")
    @classmethod
    def _as_of_now(cls, written: Any) -> Any:
        """Release 0.1.0 wrote one word for each method, and their settings in the section."""
        if not isinstance(written, dict) or "image_size" not in written:
            return written
        section, now = written["configuration"], dict(written)
        now["shape"] = [now.pop("image_size")] * 2
        if "architecture" not in now:
            return now
        now["backbone"] = {"name": now.pop("architecture"), "weights": section["weights"]}
        now["objective"] = {"name": written["objective"]}
        if written["objective"] == "contrastive":
            now["objective"] |= {
                "weight": section["contrastive_weight"],
                "temperature": section["temperature"],
                "target_temperature": section["target_temperature"],
            }
        return now


def save_checkpoint(folder: Path, network: CoverEncoder, manifest: Manifest) -> None:
    """Write weights and manifest below an existing folder."""
    state = network.regressor.state_dict()
    state |= {f"{_STATISTICS}{name}": value for name, value in network.statistics.items()}
    state = {name: value.contiguous() for name, value in state.items()}
    safetensors.torch.save_file(state, folder / WEIGHTS)
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a checkpoint folder, of this release or an earlier one.

    Raises:
        DataError: it is not there, or is none.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(
            f"no checkpoint in {folder}: {MANIFEST} is missing. Materialize trained_cnn again."
        )
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError, KeyError) as error:
        raise DataError(
            f"{path} is not as it was published: {error}. Put the checkpoint back from a backup, "
            "or materialize trained_cnn again."
        ) from error


def load_checkpoint(folder: Path) -> tuple[CoverEncoder, Manifest]:
    """The network in evaluation mode on the CPU, and its manifest.

    Bytes are not hashed again: files of other tensors than the manifest says are refused.

    Raises:
        ConfigError: its backbone or objective is gone, or has other settings by now.
        DataError: a file is missing, or is not what was published.
    """
    manifest = read_manifest(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise DataError(f"{weights} is missing. Materialize trained_cnn again.")
    backbone = BACKBONES.choose(manifest.backbone)
    objective = OBJECTIVES.choose(manifest.objective)
    n_last = manifest.n_features - 2 * sum(manifest.levels.values())
    regressor = CoverRegressor(
        (backbone.build(manifest.shape[0]), n_last),
        objective.n_outputs(manifest.n_factors),
        levels=manifest.levels,
    )
    try:
        tensors = safetensors.torch.load_file(weights)
        statistics = {
            name.removeprefix(_STATISTICS): tensors.pop(name)
            for name in list(tensors)
            if name.startswith(_STATISTICS)
        }
        # Release 0.1.0 knew no levels, and so nothing to balance.
        regressor.load_state_dict({"center": regressor.center, "scale": regressor.scale, **tensors})
    except (SafetensorError, RuntimeError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise DataError(
            f"{weights} is not what was published with its manifest: {said}. Put the checkpoint "
            "back from a backup, or materialize trained_cnn again."
        ) from error
    if not statistics:
        # Release 0.1.0 kept the mean alone; both of its objectives predict without the rest.
        statistics = {"mean": torch.tensor(manifest.target_mean)}
    network = CoverEncoder(regressor, objective, statistics).eval()
    return network.to(memory_format=torch.channels_last), manifest


def checkpoint_input(manifest: Manifest) -> CoverInput:
    """How the network of a manifest wants to see a cover.

    Raises:
        ConfigError: its backbone is gone, or has other settings by now.
    """
    backbone = BACKBONES.choose(manifest.backbone)
    if manifest.reads_vectors:
        raise ConfigError(
            "this model reads vectors from outside: its data set has no covers, and it has learned "
            "nothing about pictures. Ask for a project by its id."
        )
    return CoverInput(backbone.normalization(), Shape(*manifest.shape), manifest.fit)
