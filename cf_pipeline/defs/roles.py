"""Which models hold a role: read as state, since `promoted_model` is no parent of `embeddings`."""

from typing import Any

from cf_pipeline.defs.stage import Stage


def roles(stage: Stage) -> dict[str, dict[str, Any]]:
    """Role to its row of `promoted_model`: state of the home, read without being a parent."""
    if not stage.warehouse.has("promoted_model"):
        return {}
    return {row["role"]: row for row in stage.frame("promoted_model").iter_rows(named=True)}


def models_that_serve(stage: Stage) -> list[str]:
    """Versions of the champion and of the best model so far, each once."""
    return sorted({
        row["model_version"] for role, row in roles(stage).items() if role != "challenger"
    })
