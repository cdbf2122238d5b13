"""Configuration of the feature sets to beat."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from cf_pipeline.vision.config import Fit


class BaselinesConfig(BaseModel):
    """Reference features: a labelled network as it is, an untrained one, colour."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    imagenet_model: str = Field(
        "efficientnet_lite0",
        description="efficientnet_lite0; or timm:<name>, torchvision:<name> with weights.",
    )
    imagenet_weights: str | None = Field(
        None, description="Local weight file; none: the installed package of efficientnet_lite0."
    )
    imagenet_image_size: int = Field(192, ge=16, description="Side of the square input in pixels.")
    imagenet_fit: Fit = Field("crop", description="How a cover becomes a square.")
    color_bins: int = Field(4, ge=2, le=16, description="Bins per channel of the RGB histogram.")
    seed: int = Field(0, ge=0, description="Draws the untrained network.")
