"""Configuration of weighting, of pruning and of the split."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Saturation = Literal["none", "log1p", "cap"]


class KindWeight(BaseModel):
    """What one kind of interaction counts for in the matrix."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    weight: float = Field(
        1.0, ge=0, allow_inf_nan=False, description="Multiplies what its count comes to."
    )
    matrix: bool = Field(True, description="Whether it enters the matrix that is factorized.")
    saturation: Saturation = Field(
        "none", description="What a user's count n comes to: n, log(1 + n), or min(n, cap)."
    )
    cap: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="The most that counts; with cap alone."
    )
    half_life_days: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="After so many days before the newest event of the matrix a count is half of "
        "itself; none: counts do not age. Needs occurred_at.",
    )
    own_events: bool = Field(
        True, description="Whether an event of an owner with their own project enters the matrix."
    )

    @model_validator(mode="after")
    def _cap_belongs_to_its_saturation(self) -> KindWeight:
        if (self.cap is not None) != (self.saturation == "cap"):
            raise ValueError(
                f"cap goes with saturation = 'cap' and with no other, got saturation = "
                f"{self.saturation!r} and cap = {self.cap}"
            )
        return self


class PruningConfig(BaseModel):
    """Which users and projects are cut off, and how an event becomes a confidence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alpha: float = Field(
        1.0,
        gt=0,
        description="Confidence of a pair is min(max_confidence, 1 + alpha * r); r is the sum over "
        "kinds of weight * saturation(count), as dataset.toml says them.",
    )
    max_confidence: float = Field(
        10_000.0,
        gt=1,
        description="The largest confidence: one pair of a bot's half a million events would leave "
        "no digits of a float for anything else of its user.",
    )
    max_user_share: float = Field(
        0.2, gt=0, le=1, description="Upper cut: users with more than this share of all projects."
    )
    max_project_share: float = Field(
        0.1, gt=0, le=1, description="Upper cut: projects with more than this share of all users."
    )
    min_user_degree: int = Field(
        5,
        ge=1,
        description="Lower cut: users left with fewer projects than this, to a fixed point.",
    )
    min_project_degree: int = Field(
        1, ge=1, description="Lower cut: projects left with fewer users, to a fixed point."
    )


class SplitConfig(BaseModel):
    """Which projects are held out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(
        0, ge=0, description="Hashed with a project's group; another seed, another split."
    )
    validation: float = Field(
        0.15, gt=0, lt=1, description="Share of groups for every choice that is made."
    )
    test: float = Field(0.25, gt=0, lt=1, description="Share of groups for the verdict.")
    folds: int | None = Field(
        None,
        ge=3,
        description="Cross-validation: groups in this many folds, instead of the two shares.",
    )
    fold: int = Field(
        0, ge=0, description="The fold that is test; the next one is validation, the rest train."
    )

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> SplitConfig:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"split.validation + split.test must be below 1, got "
                f"{self.validation} + {self.test}"
            )
        return self

    @model_validator(mode="after")
    def _has_that_fold(self) -> SplitConfig:
        if self.folds is None and self.fold:
            raise ValueError(f"split.fold = {self.fold} needs split.folds, which is not set")
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(
                f"split.fold must be below split.folds = {self.folds}, got {self.fold}"
            )
        return self
