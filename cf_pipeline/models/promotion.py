"""Which model serves: gathering the three that are compared, and the rows that say who won."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.models.catalogue import roles
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.sql import equals

if TYPE_CHECKING:
    from cf_pipeline.benchmark.deciding import Decision
    from cf_pipeline.benchmark.promotion import Candidate, Comparison

Rows = list[dict[str, Any]]
BY_HAND = "promoted by hand"
"""The reason of a champion that a person chose."""


def candidate(stage: Stage, model: str) -> Candidate:
    """A model with the vectors of its chosen layer and what it was trained on.

    Raises:
        DataError: it was never scored, as where a person promoted it before it could be.
    """
    from cf_pipeline.benchmark.promotion import Candidate, fitted_projects
    from cf_pipeline.vectors import indexed

    of_model = equals("model_version", model)
    chosen = stage.frame("similarity_scores", "feature_set", where=f"{of_model} and chosen")
    if chosen.is_empty():
        raise DataError(
            f"model {model} has no scores, and so no layer that was chosen on validation. Expected "
            "rows of it in similarity_scores: promote a model that has some."
        )
    layer = str(chosen["feature_set"][0])
    column = "features" if layer == "collaborative" else layer
    vectors = stage.frame("embeddings", "project_id", column, where=of_model)
    seen = stage.frame("trained_on", "project_id", "split", where=of_model)
    fitted = fitted_projects(seen, stage.frame("project_split", "project_id", "split"))
    return Candidate(model, layer, indexed(vectors, "project_id", column), fitted)


def compare_roles(stage: Stage, model: str) -> Comparison:
    """Challenger, champion and best on the current validation projects that none was fitted to."""
    from cf_pipeline.benchmark.inputs import PoolInputs, TruthRules
    from cf_pipeline.benchmark.promotion import compare_models

    before = roles(stage.warehouse)
    candidates = {
        role: candidate(stage, before[role]["model_version"])
        for role in ("champion", "best")
        if role in before
    }
    return compare_models(
        PoolInputs.read(stage.frame, TruthRules.of(stage.section("dataset.truth"))),
        candidate(stage, model),
        candidates.get("champion"),
        candidates.get("best"),
        stage.configuration.benchmark,
        stage.progress("queries"),
    )


def decided(stage: Stage, comparison: Comparison) -> Decision:
    """Who serves by the rule, or whom a person chose knowing this challenger already.

    Without that, every new interaction would take back what was promoted by hand.
    """
    from cf_pipeline.benchmark.deciding import decide

    decision = decide(comparison)
    before = roles(stage.warehouse)
    by_hand = "champion" in before and before["champion"]["reason"] == BY_HAND
    known = "challenger" in before and before["challenger"]["model_version"]
    if by_hand and known == comparison.challenger:
        return dataclasses.replace(decision, promoted=False, reason=BY_HAND)
    return decision


def role_rows(
    before: Mapping[str, Mapping[str, Any]], comparison: Comparison, decision: Decision
) -> Rows:
    """Rows of `promoted_model`; who keeps a role keeps the time at which it took it."""
    champion = comparison.challenger if decision.promoted else comparison.champion
    holders = {
        "challenger": comparison.challenger,
        "champion": champion,
        "best": decision.best_version,
    }
    reasons = {
        "challenger": "the newest model",
        "champion": decision.reason,
        "best": "the last that was better than the best before it beyond doubt, or the first",
    }
    now = datetime.now(UTC).replace(tzinfo=None)
    return [
        {
            "model_version": version,
            "promoted_at": (
                before[role]["promoted_at"]
                if role in before and before[role]["model_version"] == version
                else now
            ),
            "role": role,
            "reason": reasons[role],
        }
        for role, version in holders.items()
    ]


def promoted_tables(
    stage: Stage, comparison: Comparison, decision: Decision
) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """Rows of promoted_model and its comparisons, and what the UI shows."""
    rows = role_rows(roles(stage.warehouse), comparison, decision)
    facts = {
        "promoted": decision.promoted,
        "reason": decision.reason,
        **{row["role"]: row["model_version"] for row in rows},
        "projects_judged": comparison.n_pool,
        "validation_projects_fitted_to": comparison.n_trained_on,
    }
    tables = {"promoted_model": pl.DataFrame(rows), "promotion_comparisons": comparison.table}
    return tables, facts
