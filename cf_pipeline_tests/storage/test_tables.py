from __future__ import annotations

import re

import pytest

from cf_pipeline.benchmark.feature_sets import VOCABULARY
from cf_pipeline.storage.bookkeeping import BOOKKEEPING
from cf_pipeline.storage.columns import MEASURES, METRICS
from cf_pipeline.storage.schema import ANY_PATH, Table
from cf_pipeline.storage.tables import ASSET_OF, ASSET_TABLES, TABLES

# Other programs read these: a change here is a change of the public format.
COLUMNS = {
    "raw_interactions": "user_id project_id kind occurred_at count",
    "raw_projects": "project_id title owners split_group stratum field subfield tags cover",
    "raw_interactions_rejected": "file row_number reason content",
    "raw_projects_rejected": "file row_number reason content",
    "covers": "project_id path sha256 width height format status reason look_group look_component",
    "pruned_matrix": "user_id project_id confidence occurred_at",
    "project_split": "project_id split",
    "latent_factors": "side id factors folded_in",
    "factor_scores": "protocol model metric value low high n_users denominator",
    "factor_differences": "protocol model reference metric difference low high n_users",
    "training_history": "model_version epoch name value",
    "training_set": "project_id sha256 factors degree split width height path",
    "trained_cnn": "model_version artifact manifest trained_at",
    "trained_on": "model_version project_id split",
    "embeddings": "project_id model_version sha256 features predicted_factors",
    "imagenet_embeddings": "project_id feature_set sha256 features",
    "simple_embeddings": "project_id feature_set sha256 features",
    "similarity_scores": (
        "model_version split feature_set measure value low high n_queries n_groups chosen"
    ),
    "similarity_differences": (
        "model_version split feature_set reference measure difference low high"
    ),
    "similarity_queries": (
        "model_version split feature_set measure project_id bootstrap_group value"
    ),
    "exported_forms": "model_version form measure value n_queries exported",
    "popularity_leaks": "model_version split feature_set quantity correlation n_projects",
    "cold_start_scores": "model_version split feature_set metric value low high n_users",
    "latent_clusters": "cluster side id distance",
    "cluster_words": "cluster source word z n_projects share",
    "similar_projects": "model_version feature_set project_id rank neighbour_id cosine",
    "gallery": "model_version artifact n_covers n_bytes",
    "cover_map": "project_id x y",
    "ridge_embeddings": "project_id feature_set sha256 features",
    "benchmark_tasks": "task image_id path sha256 label labels split look_component",
    "benchmark_tasks_rejected": "task image_id path label reason",
    "task_embeddings": "task image_id feature_set model_version sha256 features",
    "benchmark_scores": (
        "model_version task feature_set metric value low high n_train n_test variant split_rule "
        "n_listed n_found n_used n_draws deviation note"
    ),
    "promoted_model": "model_version promoted_at role reason",
    "promotion_comparisons": (
        "model_version split reference_role reference_version measure value reference_value "
        "difference low high n_queries n_groups"
    ),
    "asset_records": (
        "asset data_version code_version config_hash inputs run_id computed_at seconds metadata"
    ),
    "record_history": (
        "asset data_version code_version config_hash inputs run_id computed_at seconds metadata"
    ),
    "attempts": "asset attempt run_id started_at starts outcome message",
}
TYPES = r"(VARCHAR|BIGINT|INTEGER|FLOAT|DOUBLE|BOOLEAN|TIMESTAMP|VARCHAR\[\]|FLOAT\[n?\])"


@pytest.mark.parametrize(("name", "columns"), COLUMNS.items())
def test_columns_are_those_that_others_read(name: str, columns: str) -> None:
    assert [column.name for column in TABLES[name].columns] == columns.split()


def test_every_asset_has_a_table_of_its_name_and_no_table_two_assets() -> None:
    owned = [table for tables in ASSET_TABLES.values() for table in tables]
    assert all(asset == tables[0] for asset, tables in ASSET_TABLES.items())
    assert sorted(owned) == sorted(set(TABLES) - {table.name for table in BOOKKEEPING})
    assert ASSET_TABLES["raw_projects"] == ("raw_projects", "raw_projects_rejected")
    assert ASSET_TABLES["trained_cnn"] == ("trained_cnn", "training_history", "trained_on")
    assert ASSET_TABLES["promoted_model"] == ("promoted_model", "promotion_comparisons")
    assert ASSET_TABLES["similarity_scores"] == (
        "similarity_scores", "similarity_differences", "similarity_queries",
        "exported_forms", "popularity_leaks",
    )  # fmt: skip
    assert ASSET_OF["similarity_queries"] == "similarity_scores"
    assert "file_hashes" not in ASSET_OF


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_declarations_hold_together(table: Table) -> None:
    columns = {column.name: column for column in table.columns}
    assert len(columns) == len(table.columns)
    for name in table.key:
        assert not columns[name].nullable
        assert columns[name].in_version
    assert table.scope is None or table.scope in table.key
    for column in table.columns:
        assert re.fullmatch(TYPES, column.type)
        assert column.description.endswith(".")


def test_paths_are_not_part_of_a_version() -> None:
    for asset in ("covers", "training_set", "benchmark_tasks"):
        (path,) = (column for column in TABLES[asset].columns if column.name == "path")
        assert not path.in_version


def test_why_and_when_a_model_was_promoted_is_no_change_of_the_data() -> None:
    counted = [column.name for column in TABLES["promoted_model"].columns if column.in_version]
    assert counted == ["model_version", "role"]
    assert TABLES["promoted_model"].key == ("role",)


def test_an_asset_is_scoped_with_all_its_tables_or_none() -> None:
    for tables in ASSET_TABLES.values():
        assert len({TABLES[name].scope for name in tables}) == 1


def test_vocabularies_are_those_of_the_design() -> None:
    assert {"user:<name>", ANY_PATH, "collaborative"} <= VOCABULARY
    assert len(MEASURES) == 5
    assert len(METRICS) == 12
