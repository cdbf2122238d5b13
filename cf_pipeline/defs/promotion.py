"""Which model serves: gathering the three that are compared, and the rows that say who won."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from cf_pipeline.defs.roles import roles
from cf_pipeline.defs.stage import Stage

if TYPE_CHECKING:
    from cf_pipeline.benchmark.deciding import Decision
    from cf_pipeline.benchmark.promotion import Candidate, Comparison

Rows = list[dict[str, Any]]
BY_HAND = "promoted by hand"
"""The reason of a champion that a person chose."""


def candidate(stage: Stage, model: str) -> "Candidate":
    """A model with the vectors of its chosen layer and what it was trained on."""
    from cf_pipeline.benchmark.promotion import Candidate
    from cf_pipeline.vectors import indexed

    of_model = f"model_version = '{model}'"
    chosen = stage.frame("similarity_scores", "feature_set", where=f"{of_model} and chosen")
    layer = str(chosen["feature_set"][0])
    column = "features" if layer == "collaborative" else layer
    vectors = stage.frame("embeddings", "project_id", column, where=of_model)
    seen = stage.frame("trained_on", "project_id", where=of_model)
    return Candidate(
        model, layer, indexed(vectors, "project_id", column), frozenset(seen["project_id"])
    )


def compare_roles(stage: Stage, model: str) -> "Comparison":
    """Challenger, champion and best on the current test projects that are new to all of them."""
    from cf_pipeline.benchmark.promotion import compare_models
    from cf_pipeline.defs.judged import pool_inputs

    before = roles(stage)
    candidates = {
        role: candidate(stage, before[role]["model_version"])
        for role in ("champion", "best")
        if role in before
    }
    return compare_models(
        pool_inputs(stage),
        candidate(stage, model),
        candidates.get("champion"),
        candidates.get("best"),
        stage.configuration.benchmark,
        stage.progress("queries"),
    )


def decided(stage: Stage, comparison: "Comparison") -> "Decision":
    """Who serves by the rule, or whom a person chose knowing this challenger already.

    Without that, every new interaction would take back what was promoted by hand.
    """
    from cf_pipeline.benchmark.deciding import decide

    decision = decide(comparison, stage.configuration.promotion.tolerance)
    before = roles(stage)
    by_hand = "champion" in before and before["champion"]["reason"] == BY_HAND
    known = "challenger" in before and before["challenger"]["model_version"]
    if by_hand and known == comparison.challenger:
        return dataclasses.replace(decision, promoted=False, reason=BY_HAND)
    return decision


def role_rows(
    before: Mapping[str, Mapping[str, Any]], comparison: "Comparison", decision: "Decision"
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
        "best": "highest mean of the primary measures so far",
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
    stage: Stage, comparison: "Comparison", decision: "Decision"
) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """Rows of promoted_model and its comparisons, and what the UI shows."""
    rows = role_rows(roles(stage), comparison, decision)
    facts = {
        "promoted": decision.promoted,
        "reason": decision.reason,
        **{row["role"]: row["model_version"] for row in rows},
        **{f"mean_of_{version}": mean for version, mean in comparison.means.items()},
        "projects_judged": comparison.n_pool,
        "test_projects_trained_on": comparison.n_trained_on,
    }
    tables = {"promoted_model": pl.DataFrame(rows), "promotion_comparisons": comparison.table}
    return tables, facts
