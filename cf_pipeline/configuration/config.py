"""Configuration of machine, tracking and automation: what belongs to no room, changes no result."""

from __future__ import annotations

import os
import re
import zoneinfo
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class TrackingConfig(BaseModel):
    """wandb. Cannot change a result, so it is not hashed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["offline", "online", "disabled"] = Field(
        "offline", description="online needs WANDB_API_KEY in the environment."
    )
    project: str = Field("cf_pipeline", description="wandb project.")


class ResourcesConfig(BaseModel):
    """The machine. Cannot change a result, so it is not hashed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str = Field("auto", description="auto, cpu or cuda.")
    threads: int = Field(0, ge=0, description="Threads for decoding and ALS; 0: one per core.")
    memory_limit: str = Field("2GB", description="DuckDB's memory before it spills to disk.")
    embedding_batch: int = Field(64, ge=1, description="Covers embedded at once.")
    checkpoint_activations: bool = Field(
        False,
        description="Training computes activations again in the backward pass instead of keeping "
        "them: less memory, more time.",
    )
    training: Literal["child", "same"] = Field(
        "child",
        description="Process that trains: a child that dies with its run, or the run's own.",
    )

    @property
    def n_threads(self) -> int:
        """Threads to use: as many as were asked for, or as cores this process may use."""
        if self.threads:
            return self.threads
        # What this process may use; macOS and Windows tell only what there is.
        own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return own or 1


class AutomationConfig(BaseModel):
    """When Dagster recomputes by itself. Cannot change a result, so it is not hashed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cron: str = Field(
        "0 3 * * 1", description="When the weekly refresh runs, five cron fields; read on start."
    )
    timezone: str = Field("UTC", description="Time zone of that, as Europe/Berlin.")
    hold: tuple[str, ...] = Field(
        (), description="Assets that only the schedule and `run` compute, as latent_factors."
    )
    interval_seconds: int = Field(
        10, ge=1, description="Least time between two looks of the sensors; read on start."
    )
    settle_seconds: float = Field(
        10.0, ge=0, description="How long a source must have been quiet before it is read."
    )
    warm: bool = Field(
        False, description="The schedule continues from the last factors and checkpoint."
    )

    @field_validator("cron")
    @classmethod
    def _has_five_fields(cls, value: str) -> str:
        # What the fields mean is for Dagster to judge, when the schedule is made.
        if not re.fullmatch(r"([\w*/,#-]+\s+){4}[\w*/,#-]+", value):
            raise ValueError("expected five cron fields, as 0 3 * * 1")
        return value

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, value: str) -> str:
        if value not in zoneinfo.available_timezones():
            raise ValueError("expected the name of a time zone, as UTC or Europe/Berlin")
        return value
