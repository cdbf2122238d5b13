"""Configuration of meta-class features."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class MetaClassConfig(BaseModel):
    """How meta-class features are learned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    binary: bool = Field(False, description="Whether scores are cut to 0 and 1, as published.")
    most_per_class: int = Field(100, ge=4, description="Most images of a class that are fitted on.")
    seed: int = Field(0, ge=0, description="Draws those images, and the halves for confusion.")
