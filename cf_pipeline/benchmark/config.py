"""Configuration of the scoreboard, and of what it decides."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class BenchmarkConfig(BaseModel):
    """How similarity and labelled tasks are measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: dict[str, str] = Field(
        default_factory=lambda: {"noto_emoji": "data/noto_emoji"},
        description="Labelled sets: task name to its folder with labels.csv.",
    )
    task_test_share: float = Field(
        0.3, gt=0, lt=1, description="Share of a task's look components for test."
    )
    imagenet_form: Literal["plain", "centred", "whitened"] = Field(
        "centred", description="What is done on train to ImageNet features before cosines."
    )
    n_triplets: int = Field(20, ge=1, description="Triplets per anchor.")
    n_resamples: int = Field(2000, ge=100, description="Bootstrap resamples of an interval.")
    seed: int = Field(0, ge=0, description="Draws triplets, ties, resamples and task splits.")


class PromotionConfig(BaseModel):
    """When a newly trained model takes the champion's place, and how long old ones are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tolerance: float = Field(
        0.005,
        ge=0,
        description="How much lower a primary measure may be than the champion's and the best's.",
    )
    keep: int = Field(
        5,
        ge=1,
        description="Newest model versions that gc keeps besides those that promoted_model names.",
    )
