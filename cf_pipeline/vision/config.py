"""Configuration of covers and of the network."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cf_pipeline.vision.backbones.backbone import ChosenBackbone, Schedule
from cf_pipeline.vision.objectives.objective import ChosenObjective

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

    backbone: ChosenBackbone = Field(
        default="efficientnet_lite0",
        validate_default=True,
        description="efficientnet_lite0 from ImageNet weights, resnet_small from nothing, "
        "timm:<model>, torchvision:<model>, or a dotted path.",
    )
    objective: ChosenObjective = Field(
        default="contrastive",
        validate_default=True,
        description="contrastive (cosine plus in-batch contrastive with soft targets), regression "
        "(the talk's), or a dotted path.",
    )
    image_size: int | None = Field(
        None, ge=16, description="Side of the square input in pixels; none: the backbone's own."
    )
    fit: Fit = Field("crop", description="How a cover becomes a square.")
    epochs: int = Field(3, ge=1, description="Most passes over the training covers.")
    patience: int | None = Field(
        None,
        ge=1,
        description="Epochs without a better validation cosine to stop; none: the backbone's own.",
    )
    batch_size: int = Field(64, ge=2, description="Covers per step.")
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="Peak of the one-cycle schedule, head; none: the backbone's own.",
    )
    backbone_learning_rate_share: float = Field(
        0.3, gt=0, le=1, description="A pretrained backbone's share of that rate."
    )
    weight_decay: float = Field(0.05, ge=0, description="AdamW's decoupled weight decay.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Before the head.")
    augment: bool = Field(True, description="Random crop and horizontal flip while training.")
    seed: int = Field(0, ge=0, description="Order, augmentation and everything not pretrained.")

    @property
    def schedule(self) -> Schedule:
        """What was set, and the backbone's own for what was not."""
        own = self.backbone.schedule()
        return Schedule(
            own.image_size if self.image_size is None else self.image_size,
            own.learning_rate if self.learning_rate is None else self.learning_rate,
            own.patience if self.patience is None else self.patience,
        )
