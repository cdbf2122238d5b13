"""Configuration of the planted world: how large, how loud, how much is a nuisance.

The defaults survive the defaults of pruning (at least 5 projects a user, 2 users a project, nobody
above a tenth) and hold both clusters and differences within a cluster.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PlantedConfig(BaseModel):
    """A world whose truth is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_users: int = Field(300, ge=2, description="Users, owners among them.")
    n_projects: int = Field(600, ge=2, description="Projects, copies among them.")
    n_factors: int = Field(6, ge=2, le=8, description="Length of a true factor.")
    n_clusters: int = Field(8, ge=2, le=64, description="Clusters of projects in factor space.")
    spread: float = Field(
        0.5,
        ge=0,
        description="Length of a project's step away from its cluster's centre of length 1.",
    )
    events_per_user: float = Field(
        24.0, ge=1, description="Mean number of projects that a user views."
    )
    affinity: float = Field(
        7.0, ge=0, description="Log-odds of a view per unit of cosine between user and project."
    )
    popularity: float = Field(
        0.6,
        ge=0,
        description="Standard deviation of a project's own log-odds, blind to its factor.",
    )
    appreciation: float = Field(
        0.3, gt=0, lt=1, description="Share of views that become appreciations too, about."
    )
    n_owners: int | None = Field(
        None,
        ge=1,
        description="Users who own projects; none: a fifth of the projects, at most half of users.",
    )
    unowned: float = Field(0.04, ge=0, lt=1, description="Share of projects without a known owner.")
    exact_duplicates: float = Field(
        0.02, ge=0, le=0.2, description="Share of projects whose cover file another owner copied."
    )
    near_duplicates: float = Field(
        0.03, ge=0, le=0.2, description="Share of projects that redraw a cover of the same owner."
    )
    cover_size: int = Field(48, ge=16, le=512, description="Side of a cover in pixels.")
    noise: float = Field(
        0.04, ge=0, le=0.5, description="Standard deviation of a pixel's noise, 1 being full range."
    )
    n_task_images: int = Field(240, ge=0, description="Images of the labelled task.")
    n_task_classes: int = Field(8, ge=2, description="Clusters that the labelled task shows.")
    seed: int = Field(0, ge=0, description="Draws everything.")

    @model_validator(mode="after")
    def _counts_fit_each_other(self) -> PlantedConfig:
        if not self.n_clusters <= self.owners <= self.n_users:
            raise ValueError(
                f"every cluster needs an owner and every owner is a user: n_clusters <= n_owners "
                f"<= n_users must hold, got {self.n_clusters}, {self.owners}, {self.n_users}"
            )
        if self.n_task_classes > self.n_clusters:
            raise ValueError(
                f"a task class is a cluster: n_task_classes must be at most n_clusters, got "
                f"{self.n_task_classes} and {self.n_clusters}"
            )
        return self

    @property
    def owners(self) -> int:
        """Number of users who own projects."""
        if self.n_owners is not None:
            return self.n_owners
        return max(self.n_clusters, min(self.n_projects // 5, self.n_users // 2))
