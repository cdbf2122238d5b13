"""Configuration of covers and of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cf_pipeline.vision.backbones.backbone import ChosenBackbone, Schedule
from cf_pipeline.vision.objectives.objective import ChosenObjective

Fit = Literal["whole", "crop", "pad", "squash"]
"""How a cover gets an input's shape: `vision.geometry.fit_cover` says what each does."""


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
        default="regression",
        validate_default=True,
        description="regression (the talk's squared error), cosine, contrastive (in-batch, with "
        "soft targets), pseudo_class (the paper's clusters), weighted_sum, or a dotted path.",
    )
    image_size: int | None = Field(
        None,
        ge=16,
        description="Side of a square input in pixels, or of a square of as many; none: the "
        "backbone's own.",
    )
    fit: Fit = Field(
        "whole",
        description="How a cover becomes an input: whole (the shape follows the train covers), or "
        "crop, pad or squash to a square.",
    )
    epochs: int = Field(
        4,
        ge=0,
        description="Passes over the training covers; 0: what the backbone knows, and a ridge.",
    )
    batch_size: int = Field(32, ge=2, description="Covers per step.")
    learning_rate: float | None = Field(
        None, gt=0, description="Peak of the schedule; none: the backbone's own."
    )
    backbone_learning_rate_share: float = Field(
        1.0, gt=0, le=1, description="A pretrained backbone's share of that rate."
    )
    stage_rate: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Rate of a stage of a pretrained backbone as a share of the next deeper one's.",
    )
    levels: bool = Field(
        True,
        description="Features are pooled from several stages of the backbone, as it names them, "
        "not from the last alone.",
    )
    head_strength: float = Field(
        30.0,
        ge=1,
        description="A pretrained backbone starts with a ridge head so many times as strong as the "
        "best one.",
    )
    freeze: bool = Field(
        True,
        description="First stages of a pretrained backbone stay as they are, as it names them.",
    )
    batch_norm: Literal["kept", "trained"] | None = Field(
        None,
        description="Whether statistics of batches stay as they were learned; none: they do where "
        "the backbone is pretrained.",
    )
    weight_decay: float = Field(
        0.05, ge=0, description="AdamW's decoupled weight decay, of all but norms and biases."
    )
    decay_to_start: bool = Field(
        False, description="A pretrained backbone decays towards its first weights, not to zero."
    )
    blend: bool = Field(
        True,
        description="Weights between a pretrained start and the end are candidates, too: "
        "validation chooses.",
    )
    averaging: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay per step of a moving average of the weights, which is what is judged "
        "and kept; 0: the weights themselves are.",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Before the head.")
    augment: bool = Field(True, description="Random views of covers while training.")
    crop_area: float = Field(
        0.5, gt=0, le=1, description="Smallest share of a cover that a view shows."
    )
    jitter: float = Field(
        0.2, ge=0, lt=1, description="How far brightness and contrast of a view may move."
    )
    degree_weight: float = Field(
        0.0,
        ge=-1,
        le=1,
        description="Power of its degree by which a project is drawn, and counts in the ridge.",
    )
    crowd_weight: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Inverse power of the number of projects with its factor by which one is "
        "drawn, and counts in the ridge.",
    )
    precision: Literal["full", "mixed"] = Field(
        "full", description="mixed: steps compute in bfloat16 where torch holds that safe."
    )
    seed: int = Field(0, ge=0, description="Order, augmentation and everything not pretrained.")

    @property
    def schedule(self) -> Schedule:
        """What was set, and the backbone's own for what was not."""
        own = self.backbone.schedule()
        return Schedule(
            own.image_size if self.image_size is None else self.image_size,
            own.learning_rate if self.learning_rate is None else self.learning_rate,
        )

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the backbone's modules that are not trained."""
        return self.backbone.frozen if self.freeze and self.backbone.pretrained else ()

    @property
    def pooled(self) -> Mapping[str, int]:
        """Names of the backbone's modules that are pooled, with their channels."""
        return self.backbone.levels if self.levels else {}

    @property
    def keeps_batch_norm(self) -> bool:
        """Whether statistics of batches stay as they were learned."""
        if self.batch_norm is None:
            return self.backbone.pretrained
        return self.batch_norm == "kept"
