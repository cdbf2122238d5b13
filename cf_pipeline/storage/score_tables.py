"""Tables of the group benchmark: similarity, cold start, and the model that serves."""

from __future__ import annotations

from cf_pipeline.benchmark.forms import FORM_NAMES
from cf_pipeline.benchmark.leaks import QUANTITIES
from cf_pipeline.storage.columns import (
    DIFFERENCE,
    FEATURE_SET,
    HIGH,
    LOW,
    MEASURE,
    METRIC,
    MODEL_VERSION,
    N_GROUPS,
    N_QUERIES,
    PROJECT,
    REFERENCE,
    ROLES,
    SPLIT,
    SPLITS,
    VALUE,
)
from cf_pipeline.storage.schema import Column, Table, required

BENCHMARK = (
    Table(
        "similarity_scores",
        "How well nearness of features follows shared audiences.",
        (
            MODEL_VERSION,
            SPLIT,
            FEATURE_SET,
            MEASURE,
            VALUE,
            LOW,
            HIGH,
            N_QUERIES,
            N_GROUPS,
            required("chosen", "BOOLEAN", "The layer chosen on validation."),
        ),
        key=("model_version", "split", "feature_set", "measure"),
        scope="model_version",
    ),
    Table(
        "similarity_differences",
        "The same, paired: features minus reference.",
        (
            MODEL_VERSION,
            SPLIT,
            FEATURE_SET,
            REFERENCE,
            MEASURE,
            DIFFERENCE,
            LOW,
            HIGH,
        ),
        key=("model_version", "split", "feature_set", "reference", "measure"),
        scope="model_version",
    ),
    Table(
        "similarity_queries",
        "The values that scores are means of, query by query; queries left out have no row.",
        (
            MODEL_VERSION,
            SPLIT,
            FEATURE_SET,
            MEASURE,
            PROJECT,
            required(
                "bootstrap_group",
                "BIGINT",
                "Group that the query is drawn with: equal for projects of one split group, or "
                "linked by owners.",
            ),
            required("value", "DOUBLE", "The measure for this query, a share between 0 and 1."),
        ),
        key=("model_version", "split", "feature_set", "measure", "project_id"),
        scope="model_version",
    ),
    Table(
        "exported_forms",
        "What validation makes of each form in which features may be handed out.",
        (
            MODEL_VERSION,
            required("form", "VARCHAR", "A layer, alone or beside other features.", FORM_NAMES),
            MEASURE,
            VALUE,
            N_QUERIES,
            required("exported", "BOOLEAN", "The form that is handed out."),
        ),
        key=("model_version", "form"),
        scope="model_version",
    ),
    Table(
        "popularity_leaks",
        "Rank correlation of features with the popularity of their projects.",
        (
            MODEL_VERSION,
            SPLIT,
            FEATURE_SET,
            required(
                "quantity",
                "VARCHAR",
                "Length of the vector, or how many queries have it among their ten nearest.",
                frozenset(QUANTITIES),
            ),
            Column("correlation", "DOUBLE", "Spearman's, between -1 and 1."),
            Column("n_projects", "BIGINT", "Projects that were ranked."),
        ),
        key=("model_version", "split", "feature_set", "quantity"),
        scope="model_version",
    ),
    Table(
        "cold_start_scores",
        "Held-out projects ranked for users as if nobody had come for them.",
        (
            MODEL_VERSION,
            SPLIT,
            FEATURE_SET,
            METRIC,
            VALUE,
            LOW,
            HIGH,
            Column("n_users", "BIGINT", "Users that were ranked for."),
        ),
        key=("model_version", "split", "feature_set", "metric"),
        scope="model_version",
    ),
)

_LEVELS = "95 % against one reference, 97.5 % against each of two"

PROMOTION = (
    Table(
        "promoted_model",
        "Which trained network has which role; the champion serves.",
        (
            required("model_version", "VARCHAR", "The trained network that has the role."),
            required("promoted_at", "TIMESTAMP", "Since when, UTC.", in_version=False),
            required("role", "VARCHAR", "What it is to the others.", ROLES),
            required("reason", "VARCHAR", "Why it has the role.", in_version=False),
        ),
        key=("role",),
    ),
    Table(
        "promotion_comparisons",
        "The challenger beside each reference, on projects that none of their networks was "
        "fitted to. Validation decides; test is there to be read.",
        (
            required("model_version", "VARCHAR", "The trained network that is the challenger."),
            required("split", "VARCHAR", "Whose projects are judged.", SPLITS - {"train"}),
            required(
                "reference_role", "VARCHAR", "What it is compared with.", ROLES - {"challenger"}
            ),
            required("reference_version", "VARCHAR", "The trained network that has that role."),
            MEASURE,
            VALUE,
            Column("reference_value", "DOUBLE", "The reference's estimate, between 0 and 1."),
            Column("difference", "DOUBLE", "Challenger minus reference, between -1 and 1."),
            Column("low", "DOUBLE", f"Lower end of the interval: {_LEVELS}."),
            Column("high", "DOUBLE", f"Upper end of the interval: {_LEVELS}."),
            N_QUERIES,
            N_GROUPS,
        ),
        key=("split", "reference_role", "measure"),
    ),
)
