"""Keys of earlier releases: where each stands today, so that an old home's choices still hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BACKBONES = {"pretrained": "efficientnet_lite0", "scratch": "resnet_small"}
MOVED: Mapping[str, str | None] = {
    # Release 0.1.0.
    "vision.init": "vision.backbone",
    "vision.weights": "vision.backbone.weights",
    "vision.contrastive_weight": "vision.objective.weight",
    "vision.temperature": "vision.objective.temperature",
    "vision.target_temperature": "vision.objective.target_temperature",
    "factorization.regularization": "factorization.method.regularization",
    "factorization.n_iterations": "factorization.method.n_iterations",
    "baselines.imagenet_model": "baselines.imagenet.backbone",
    "baselines.imagenet_weights": "baselines.imagenet.backbone.weights",
    "baselines.imagenet_image_size": "baselines.imagenet.image_size",
    "baselines.imagenet_fit": "baselines.imagenet.fit",
    "baselines.color_bins": "baselines.color.bins",
    "baselines.seed": "baselines.random.seed",
    "promotion.tolerance": None,
    "vision.patience": None,
}
"""Old key to the new one; None: it has no place any more."""


def moved(chosen: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Choices under the keys of today, and a line for each that was written otherwise."""
    now: dict[str, Any] = {}
    words: list[str] = []
    for key, value in chosen.items():
        if key not in MOVED:
            now[key] = value
            continue
        place = MOVED[key]
        if place is None:
            words.append(f"{key} of an earlier release has no place any more and is left aside")
            continue
        if key == "vision.init":
            value = _BACKBONES.get(value, value)
        # What stood beside another choice without being read would be read now.
        if place.startswith("vision.objective.") and chosen.get("vision.objective") == "regression":
            continue
        if key == "vision.weights" and chosen.get("vision.init") == "scratch":
            continue
        words.append(f"{key} of an earlier release is read as {place} = {value}")
        now[place] = value
        if place.startswith("vision.objective."):
            now.setdefault("vision.objective", chosen.get("vision.objective", "contrastive"))
    return now, words
