"""The fixed words, and the columns that several tables share.

The words are enforced where rows are written. One that ends in `<name>` stands for every word
that begins with what precedes it (`user:<name>`), and `<module>:<name>` for every dotted path to a
class (`my_lab.features:Gist`). The feature sets are those of the scoreboard.
"""

from __future__ import annotations

from cf_pipeline.benchmark.feature_sets import VOCABULARY
from cf_pipeline.storage.schema import LIST, VECTOR, Column, required

FEATURE_SETS = VOCABULARY
MEASURES = frozenset({
    "triplet_accuracy",
    "triplet_accuracy_within_stratum",
    "ndcg_at_10",
    "ndcg_at_10_within_stratum",
    "same_field_at_10",
})
METRICS = frozenset({
    "recall_at_20",
    "recall_at_50",
    "recall_at_100",
    "ndcg_at_20",
    "ndcg_at_100",
    "auc",
    "accuracy",
    "mean_class_accuracy",
    "knn_accuracy",
    "map",
    "balanced_map",
    "average_precision",
})
SPLITS = frozenset({"train", "validation", "test"})
FACTOR_MODELS = frozenset({"factors", "item_knn", "ease", "popularity"})
PROTOCOLS = frozenset({"newest_events", "hidden_events", "new_users"})
COVER_STATUSES = frozenset({"ok", "missing", "unreadable"})
SIDES = frozenset({"user", "project"})
WORD_SOURCES = frozenset({"tag", "title", "board", "field", "subfield"})
ROLES = frozenset({"champion", "challenger", "best"})
ATTEMPT_OUTCOMES = frozenset({"running", "done", "failed", "interrupted"})

PROJECT = required("project_id", "VARCHAR", "Outside key of the project.")
USER = required("user_id", "VARCHAR", "Outside key of the user.")
SHA256 = required("sha256", "VARCHAR", "SHA-256 of the image file's bytes, hexadecimal.")
MODEL_VERSION = required(
    "model_version",
    "VARCHAR",
    "The trained network; on reference features, the one they were compared with.",
)
FEATURE_SET = required("feature_set", "VARCHAR", "Which features.", FEATURE_SETS)
SPLIT = required("split", "VARCHAR", "Side of the held-out rule.", SPLITS)
MEASURE = required("measure", "VARCHAR", "How similarity is judged.", MEASURES)
REFERENCE = required("reference", "VARCHAR", "Features subtracted.", FEATURE_SETS)
DIFFERENCE = Column("difference", "DOUBLE", "Features minus reference, between -1 and 1.")
METRIC = required("metric", "VARCHAR", "What was measured.", METRICS)
VALUE = Column("value", "DOUBLE", "The estimate, a share between 0 and 1.")
PROTOCOL = required(
    "protocol",
    "VARCHAR",
    "What was hidden: each user's newest events, some by hash, or some of users never seen.",
    PROTOCOLS,
)
N_USERS = Column("n_users", "BIGINT", "Users the mean is over.")
TASK = required("task", "VARCHAR", "Name of the labelled set.")
IMAGE = required("image_id", "VARCHAR", "Outside key of the image within its task.")
LOW = Column("low", "DOUBLE", "Lower end of the 95 % interval.")
HIGH = Column("high", "DOUBLE", "Upper end of the 95 % interval.")
N_QUERIES = Column("n_queries", "BIGINT", "Projects that were queried.")
# Not look groups: look-alikes are left out of a pool, what depends on each other is provenance.
N_GROUPS = Column(
    "n_groups",
    "BIGINT",
    "Groups of queries drawn for the interval: split groups, or projects linked by owners.",
)
FEATURES = required("features", VECTOR, "Activations of the features layer, n floats.")
FEATURES_LIST = required("features", LIST, "Features, as many floats as the feature set has.")
REJECTED = (
    required("file", "VARCHAR", "The file that held the row.", in_version=False),
    Column("row_number", "BIGINT", "Number of the row in its file, from 1."),
    required("reason", "VARCHAR", "Why the row cannot be used."),
    Column("content", "VARCHAR", "The row as read, JSON."),
)
