"""Which columns a column is made of, for the lineage that Dagster's UI draws.

Columns of one name that a parent has too are found by `column_lineage`; what is computed from
columns of other names stands here. Where a raw column comes from is told by dataset.toml.
"""

from collections.abc import Sequence

import dagster as dg

from cf_pipeline.storage.tables import TABLES

_VECTOR = (("trained_cnn", "model_version"), ("covers", "path"))
_SCORED = (
    ("raw_interactions", "user_id"),
    ("raw_interactions", "kind"),
    ("project_split", "split"),
    ("embeddings", "features"),
    ("embeddings", "predicted_factors"),
    ("imagenet_embeddings", "features"),
    ("simple_embeddings", "features"),
    ("latent_factors", "factors"),
)
_COMPARED = (
    ("raw_interactions", "user_id"),
    ("embeddings", "features"),
    ("embeddings", "predicted_factors"),
    ("similarity_scores", "chosen"),
)
_FACTORED = (
    ("pruned_matrix", "user_id"),
    ("pruned_matrix", "project_id"),
    ("pruned_matrix", "confidence"),
    ("project_split", "split"),
)

COMPUTED_FROM: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {
    "covers": {
        name: (("raw_projects", "cover"),)
        for name in ("path", "sha256", "status", "look_group", "look_component")
    },
    "pruned_matrix": {
        "confidence": (("raw_interactions", "kind"), ("raw_interactions", "count")),
        "project_id": (("raw_interactions", "project_id"), ("covers", "sha256")),
    },
    "project_split": {
        "split": (
            ("raw_projects", "owners"),
            ("raw_projects", "split_group"),
            ("covers", "look_component"),
        )
    },
    "latent_factors": {"factors": _FACTORED},
    "factor_scores": {"value": _FACTORED},
    "training_set": {
        "project_id": (("latent_factors", "id"),),
        "degree": (("pruned_matrix", "user_id"),),
    },
    "trained_cnn": {
        "model_version": (
            ("training_set", "factors"),
            ("training_set", "sha256"),
            ("training_set", "split"),
        )
    },
    "embeddings": {"features": _VECTOR, "predicted_factors": _VECTOR},
    "imagenet_embeddings": {"features": (("covers", "path"),)},
    "simple_embeddings": {"features": (("covers", "path"),)},
    "similarity_scores": {"value": _SCORED, "chosen": _SCORED},
    "promoted_model": {"role": _COMPARED, "model_version": (("trained_cnn", "model_version"),)},
    "task_embeddings": {
        "features": (("trained_cnn", "model_version"), ("benchmark_tasks", "path"))
    },
    "benchmark_scores": {
        "value": (
            ("task_embeddings", "features"),
            ("benchmark_tasks", "label"),
            ("benchmark_tasks", "split"),
        )
    },
}


def column_lineage(asset: str, parents: Sequence[str]) -> dg.TableColumnLineage:
    """Every column of an asset's table with the columns of its parents that it is made of."""
    stated = COMPUTED_FROM.get(asset, {})
    return dg.TableColumnLineage({
        column.name: [
            dg.TableColumnDep(asset_key=parent, column_name=name)
            for parent, name in stated.get(column.name, _namesakes(column.name, parents))
        ]
        for column in TABLES[asset].columns
    })


def _namesakes(column: str, parents: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (parent, column)
        for parent in parents
        if any(theirs.name == column for theirs in TABLES[parent].columns)
    ]
