"""Every table of the warehouse: names, columns, types, units, keys and words in one dictionary.

An asset's table carries the asset's name; `ASSET_TABLES` adds its companions. Bookkeeping tables
belong to no asset. The declarations stand beside this module, one file per part of the graph.
"""

from __future__ import annotations

from cf_pipeline.storage.bookkeeping import BOOKKEEPING
from cf_pipeline.storage.input_tables import INTERACTIONS
from cf_pipeline.storage.model_tables import (
    BASELINES,
    FACTORIZATION,
    GALLERY,
    RETRIEVAL,
    VISION,
)
from cf_pipeline.storage.schema import Table
from cf_pipeline.storage.score_tables import BENCHMARK, PROMOTION
from cf_pipeline.storage.task_tables import LABELLED

TABLES: dict[str, Table] = {
    table.name: table
    for group in (
        INTERACTIONS,
        FACTORIZATION,
        VISION,
        BASELINES,
        RETRIEVAL,
        BENCHMARK,
        LABELLED,
        PROMOTION,
        GALLERY,
        BOOKKEEPING,
    )
    for table in group
}

_COMPANIONS = {
    "raw_interactions": ("raw_interactions_rejected",),
    "raw_projects": ("raw_projects_rejected",),
    "user_embeddings": ("user_embeddings_rejected",),
    "latent_clusters": ("cluster_words",),
    "factor_scores": ("factor_differences",),
    "training_set": ("validation_relevances", "training_vectors"),
    "trained_cnn": ("training_history", "trained_on"),
    "benchmark_tasks": (
        "benchmark_tasks_rejected",
        "benchmark_task_draws",
        "benchmark_task_facts",
    ),
    "metaclass_embeddings": ("metaclass_nodes",),
    "benchmark_scores": ("benchmark_differences", "benchmark_classes"),
    "similarity_scores": (
        "similarity_differences",
        "similarity_queries",
        "exported_forms",
        "popularity_leaks",
    ),
    "gallery": ("cover_map",),
    "promoted_model": ("promotion_comparisons",),
}
_NOT_ASSETS = {table.name for table in BOOKKEEPING}.union(*_COMPANIONS.values())

ASSET_TABLES: dict[str, tuple[str, ...]] = {
    name: (name, *_COMPANIONS.get(name, ())) for name in TABLES if name not in _NOT_ASSETS
}
"""Asset to its tables: its own first, companions after it."""
ASSET_OF: dict[str, str] = {
    table: asset for asset, tables in ASSET_TABLES.items() for table in tables
}
"""Table to the asset that writes it; bookkeeping tables have none."""
