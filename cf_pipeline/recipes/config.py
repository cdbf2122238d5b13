"""Configuration of the machine and of tracking: what belongs to no room and changes no result."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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

    @property
    def n_threads(self) -> int:
        """Threads to use: as many as were asked for, or as cores this process may use."""
        return self.threads or len(os.sched_getaffinity(0))
