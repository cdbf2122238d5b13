"""Configuration of covers and of the network."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Fit = Literal["crop", "pad", "squash"]
"""How a cover becomes a square: short side and crop, long side and white, or neither."""


class CoversConfig(BaseModel):
    """How covers are checked and when two of them look alike."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_pixels: int = Field(
        50_000_000, gt=0, description="A cover with more pixels is refused before it is decoded."
    )
    max_hash_distance: int = Field(
        8, ge=0, le=15, description="Bits of 64 in which perceptual hashes of one look may differ."
    )
    max_pixel_difference: float = Field(
        0.06,
        ge=0,
        le=1,
        description="Root mean square difference, 0 to 1, that one look's thumbnails may have.",
    )
    max_relative_difference: float = Field(
        0.2,
        ge=0,
        le=1,
        description="The same, as a share of what both covers draw (root of summed variances).",
    )


class VisionConfig(BaseModel):
    """The network from a cover to its project's place in latent space, and its training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    init: Literal["pretrained", "scratch"] = Field(
        "pretrained", description="Start from ImageNet weights, or from nothing with resnet_small."
    )
    objective: Literal["contrastive", "regression"] = Field(
        "contrastive",
        description="Cosine plus in-batch contrastive with soft targets, or the talk's regression.",
    )
    weights: str | None = Field(
        None, description="Weight file of the pretrained network; none: the installed package's."
    )
    image_size: int = Field(128, ge=16, description="Side of the square input in pixels.")
    fit: Fit = Field("crop", description="How a cover becomes a square.")
    epochs: int = Field(3, ge=1, description="Most passes over the training covers.")
    patience: int = Field(3, ge=1, description="Epochs without a better validation cosine to stop.")
    batch_size: int = Field(64, ge=2, description="Covers per step.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak of the one-cycle schedule, head.")
    backbone_learning_rate_share: float = Field(
        0.3, gt=0, le=1, description="The backbone's share of that rate."
    )
    weight_decay: float = Field(0.05, ge=0, description="AdamW's decoupled weight decay.")
    contrastive_weight: float = Field(1.0, ge=0, description="Weight of the contrastive term.")
    temperature: float = Field(0.1, gt=0, description="Divides predicted cosines in that term.")
    target_temperature: float = Field(
        0.1, gt=0, description="Divides cosines of target factors in its soft targets."
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="Before the head.")
    augment: bool = Field(True, description="Random crop and horizontal flip while training.")
    seed: int = Field(0, ge=0, description="Order, augmentation and everything not pretrained.")
