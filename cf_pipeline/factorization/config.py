"""Configuration of the factorization."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class FactorizationConfig(BaseModel):
    """Implicit ALS (Hu, Koren, Volinsky 2008) as the package `implicit` computes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_factors: int = Field(64, ge=2, description="Length of a latent factor.")
    regularization: float = Field(
        0.1, gt=0, description="lambda of the L2 term, not scaled by a row's number of events."
    )
    n_iterations: int = Field(20, ge=1, description="ALS iterations, both half-steps each.")
    seed: int = Field(0, ge=0, description="Draws the first factors.")
    holdout: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of each user's train events that factor_scores hides to rank them.",
    )
