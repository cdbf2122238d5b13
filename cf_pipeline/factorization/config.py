"""Configuration of the factorization and of its evaluation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from cf_pipeline.factorization.factorizer import ChosenFactorizer


class FactorizationConfig(BaseModel):
    """How users and projects get a place in latent space, and how that is judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: ChosenFactorizer = Field(
        default="als",
        validate_default=True,
        description="Factorizer: als, sampled_mf (the slide's), or a dotted path.",
    )
    n_factors: int = Field(64, ge=2, description="Length of a latent factor.")
    seed: int = Field(0, ge=0, description="Draws the first factors, and which events are hidden.")
    holdout: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of each user's train events that factor_scores hides to rank them.",
    )
    n_clusters: int | None = Field(
        None,
        ge=2,
        description="Clusters that latent_clusters shows; none: the root of half of the train "
        "projects, at most 64.",
    )
    max_users: int = Field(
        10_000, ge=1, description="Most users that factor_scores ranks for, chosen by key of id."
    )
