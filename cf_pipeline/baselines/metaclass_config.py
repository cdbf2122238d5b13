"""Settings of meta-class features, which are read without what learns them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cf_pipeline.registry import Method


class MetaClass(Method):
    """How meta-class features are learned; `baselines.metaclass` learns them."""

    name: Literal["metaclass"] = "metaclass"
    binary: bool = Field(False, description="Whether scores are cut to 0 and 1, as published.")
    most_per_class: int = Field(100, ge=4, description="Most images of a class that are fitted on.")
    seed: int = Field(0, ge=0, description="Draws those images, and the halves for confusion.")
