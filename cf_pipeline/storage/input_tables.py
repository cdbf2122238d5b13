"""Tables of the group interactions: what the sources say, and what is kept of it.

Rows of the raw tables stand as they were read; rows that cannot be used go to `<asset>_rejected`
with the reason, so that read = used + rejected. `raw_interactions` has no key: a source may say
the same thing twice.
"""

from __future__ import annotations

from cf_pipeline.storage.columns import (
    COVER_STATUSES,
    FEATURE_SET,
    FEATURES_LIST,
    PROJECT,
    REJECTED,
    SPLIT,
    USER,
)
from cf_pipeline.storage.schema import Column, Table, required

INTERACTIONS = (
    Table(
        "raw_interactions",
        "Who did what with which project, as the sources say it.",
        (
            USER,
            PROJECT,
            required("kind", "VARCHAR", "Kind of interaction, a word of the data set."),
            Column("occurred_at", "TIMESTAMP", "When, UTC; null where the source does not say."),
            required("count", "BIGINT", "How many times."),
        ),
        key=(),
    ),
    Table("raw_interactions_rejected", "Interactions turned away.", REJECTED, key=()),
    Table(
        "raw_projects",
        "Every project the sources name.",
        (
            PROJECT,
            Column("title", "VARCHAR", "Title, as the source writes it."),
            Column("owners", "VARCHAR[]", "Who made or uploaded it, outside keys."),
            Column("split_group", "VARCHAR", "Projects of one group stay on one side of a split."),
            Column("stratum", "VARCHAR", "Only projects of one stratum are compared within it."),
            Column("field", "VARCHAR", "Label for evaluation, coarse."),
            Column("subfield", "VARCHAR", "Label for evaluation, fine."),
            Column("tags", "VARCHAR[]", "Free words."),
            Column("cover", "VARCHAR", "Where the cover lies, as the data set writes it."),
        ),
        key=("project_id",),
    ),
    Table("raw_projects_rejected", "Projects turned away.", REJECTED, key=()),
    Table(
        "user_embeddings",
        "Vectors of projects from outside, as [[features]] of dataset.toml names them.",
        (
            PROJECT,
            FEATURE_SET,
            required("sha256", "VARCHAR", "SHA-256 of the vector's bytes, hexadecimal."),
            required("in_place_of_covers", "BOOLEAN", "Whether it counts as a readable cover."),
            FEATURES_LIST,
        ),
        key=("project_id", "feature_set"),
    ),
    Table("user_embeddings_rejected", "Vectors turned away.", REJECTED, key=()),
    Table(
        "covers",
        "One cover per project, opened and checked.",
        (
            PROJECT,
            Column("path", "VARCHAR", "The image file.", in_version=False),
            Column("sha256", "VARCHAR", "SHA-256 of the file's bytes; null where none was read."),
            Column("width", "INTEGER", "Width in pixels."),
            Column("height", "INTEGER", "Height in pixels."),
            Column("format", "VARCHAR", "What the file is, by its content."),
            required("status", "VARCHAR", "Whether it can be used.", COVER_STATUSES),
            Column("reason", "VARCHAR", "Why it cannot be used, or what is odd about it."),
            Column("look_group", "VARCHAR", "Covers that all look alike pairwise."),
            Column("look_component", "VARCHAR", "Covers connected by pairs that look alike."),
        ),
        key=("project_id",),
    ),
    Table(
        "pruned_matrix",
        "The user-project matrix after both cuts, one row per stored entry.",
        (
            USER,
            PROJECT,
            required("confidence", "FLOAT", "Weighted strength, above 0."),
            Column("occurred_at", "TIMESTAMP", "Time of the first event, UTC; null where unknown."),
        ),
        key=("user_id", "project_id"),
    ),
    Table(
        "project_split",
        "The side of the held-out rule of every project.",
        (PROJECT, SPLIT),
        key=("project_id",),
    ),
)
