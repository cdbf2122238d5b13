"""Configuration of the scoreboard, and of what it decides."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cf_pipeline.benchmark.task_loaders.loader import ChosenTaskLoader, default_tasks


class BenchmarkConfig(BaseModel):
    """How similarity and labelled tasks are measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: dict[str, ChosenTaskLoader] = Field(
        default_factory=default_tasks,
        validate_default=True,
        description="Labelled sets: task name to a folder with labels.csv, or to a loader; false "
        "leaves one out.",
    )
    task_test_share: float = Field(
        0.3, gt=0, lt=1, description="Share of a task's look components for test."
    )
    imagenet_form: Literal["plain", "centred", "whitened"] = Field(
        "centred", description="What is done on train to ImageNet features before cosines."
    )
    n_triplets: int = Field(20, ge=1, description="Triplets per anchor.")
    n_resamples: int = Field(2000, ge=100, description="Bootstrap resamples of an interval.")
    max_queries: int = Field(
        5_000, ge=2, description="Most projects of a split that are queried, chosen by key of id."
    )
    max_candidates: int = Field(
        50_000, ge=2, description="Most projects of a split that are compared, chosen likewise."
    )
    seed: int = Field(
        0, ge=0, description="Draws triplets, ties, resamples, task splits and what is too many."
    )

    @field_validator("tasks", mode="before")
    @classmethod
    def _wanted(cls, tasks: Any) -> Any:
        """Without those that are set to false: how one that ships is left out."""
        if not isinstance(tasks, dict):
            return tasks
        return {name: loader for name, loader in tasks.items() if loader is not False}


class PromotionConfig(BaseModel):
    """When a newly trained model takes the champion's place, and how long old ones are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep: int = Field(
        5,
        ge=1,
        description="Newest model versions that gc keeps besides those that promoted_model names.",
    )
    keep_bytes: int = Field(
        10_000_000_000,
        ge=0,
        description="Most bytes that checkpoints of those newest versions may take on disk.",
    )
