"""Tables of the groups that make and show what was learned: factors, networks, features, places.

Vectors stand in `FLOAT[n]` columns (fixed size, n from the data), except in `simple_embeddings`,
where feature sets of several lengths share a column and `FLOAT[]` lists are used. Where two model
versions differ in length, a scoped table's `FLOAT[n]` is stored as `FLOAT[]` until they agree.
"""

from __future__ import annotations

from cf_pipeline.storage.columns import (
    FACTOR_MODELS,
    FEATURE_SET,
    FEATURES,
    FEATURES_LIST,
    HIGH,
    LOW,
    METRIC,
    MODEL_VERSION,
    N_USERS,
    PROJECT,
    PROTOCOL,
    SHA256,
    SIDES,
    SPLITS,
    VALUE,
    WORD_SOURCES,
)
from cf_pipeline.storage.schema import VECTOR, Column, Table, required

FACTORIZATION = (
    Table(
        "latent_factors",
        "Latent factors of users and projects.",
        (
            required("side", "VARCHAR", "Whose factors.", SIDES),
            required("id", "VARCHAR", "Outside key of the user or project."),
            required("factors", VECTOR, "Place in latent space, n floats."),
            required("folded_in", "BOOLEAN", "Placed afterwards, with user factors fixed."),
        ),
        key=("side", "id"),
    ),
    Table(
        "factor_scores",
        "How well hidden train interactions are ranked.",
        (
            PROTOCOL,
            required("model", "VARCHAR", "What ranked.", FACTOR_MODELS),
            METRIC,
            VALUE,
            LOW,
            HIGH,
            N_USERS,
            required("denominator", "VARCHAR", "What the metric divides by."),
        ),
        key=("protocol", "model", "metric"),
    ),
    Table(
        "factor_differences",
        "The same, paired user by user: factors minus another model.",
        (
            PROTOCOL,
            required("model", "VARCHAR", "What ranked.", FACTOR_MODELS),
            required("reference", "VARCHAR", "What is subtracted.", FACTOR_MODELS),
            METRIC,
            Column("difference", "DOUBLE", "Model minus reference, between -1 and 1."),
            LOW,
            HIGH,
            N_USERS,
        ),
        key=("protocol", "model", "reference", "metric"),
    ),
    Table(
        "latent_clusters",
        "What lies together in latent space.",
        (
            required("cluster", "INTEGER", "Its number, the largest by train projects is 0."),
            required("side", "VARCHAR", "Whose factors.", SIDES),
            required("id", "VARCHAR", "Outside key of the user or project."),
            required(
                "distance",
                "FLOAT",
                "Of its factors, at length 1, to the centre; Euclidean, 0 to 2.",
            ),
        ),
        key=("side", "id"),
    ),
    Table(
        "cluster_words",
        "Words that a cluster's projects have more often than others'.",
        (
            required("cluster", "INTEGER", "Number of the cluster."),
            required("source", "VARCHAR", "Where the word stands.", WORD_SOURCES),
            required("word", "VARCHAR", "The word, as it stands there; of titles in lower case."),
            required("z", "DOUBLE", "Log-odds against all other clusters in standard deviations."),
            required("n_projects", "BIGINT", "Projects of the cluster that have it."),
            required("share", "DOUBLE", "Of the cluster's projects, 0 to 1."),
        ),
        key=("cluster", "source", "word"),
    ),
)

RETRIEVAL = (
    Table(
        "similar_projects",
        "The nearest projects of each, by cosine.",
        (
            MODEL_VERSION,
            FEATURE_SET,
            PROJECT,
            required("rank", "INTEGER", "1 is the nearest."),
            required("neighbour_id", "VARCHAR", "Outside key of the project that is near."),
            required("cosine", "FLOAT", "Between the two, -1 to 1."),
        ),
        key=("model_version", "feature_set", "project_id", "rank"),
        scope="model_version",
    ),
)

VISION = (
    Table(
        "training_set",
        "All that the network may see.",
        (
            PROJECT,
            SHA256,
            required("factors", VECTOR, "Target: the project's latent factors, n floats."),
            required("degree", "BIGINT", "Users of the project in the pruned matrix."),
            required("split", "VARCHAR", "Fitted on, or chosen by.", SPLITS - {"test"}),
            Column("width", "INTEGER", "Of the cover, pixels; null without covers."),
            Column("height", "INTEGER", "Of the cover, pixels; null without covers."),
            Column("path", "VARCHAR", "The image file; null without.", in_version=False),
        ),
        key=("project_id",),
    ),
    Table(
        "validation_relevances",
        "How relevant comparable validation projects are to each other, of those that are queried: "
        "what training is judged by, and nothing is fitted to.",
        (
            required("query_id", "VARCHAR", "Outside key of the project that is queried."),
            required("candidate_id", "VARCHAR", "Outside key of one that it is compared with."),
            required("relevance", "FLOAT", "Excess co-engagement, 0 to 1."),
        ),
        key=("query_id", "candidate_id"),
    ),
    Table(
        "training_vectors",
        "Vectors from outside of the training set's projects, in a data set without covers.",
        (PROJECT, required("features", VECTOR, "As [[features]] has them, n floats.")),
        key=("project_id",),
    ),
    Table(
        "trained_cnn",
        "Trained networks.",
        (
            MODEL_VERSION,
            required("artifact", "VARCHAR", "Version of the artifact that holds the weights."),
            required("manifest", "VARCHAR", "How it was made, JSON."),
            required("trained_at", "TIMESTAMP", "When training ended, UTC.", in_version=False),
        ),
        key=("model_version",),
        scope="model_version",
    ),
    Table(
        "training_history",
        "Curves of a training.",
        (
            MODEL_VERSION,
            required("epoch", "INTEGER", "Passes over the training covers done."),
            required("name", "VARCHAR", "What was measured."),
            required("value", "DOUBLE", "Its value, in the unit its name says."),
        ),
        key=("model_version", "epoch", "name"),
        scope="model_version",
    ),
    Table(
        "trained_on",
        "Projects that the model, or a model it started from, was fitted to or chosen by.",
        (
            MODEL_VERSION,
            PROJECT,
            Column(
                "split",
                "VARCHAR",
                "Fitted to (by any of these models), or chosen by; null where release 0.1.0 "
                "wrote it.",
                SPLITS - {"test"},
            ),
        ),
        key=("model_version", "project_id"),
        scope="model_version",
    ),
    Table(
        "embeddings",
        "What the network makes of every readable cover.",
        (
            PROJECT,
            MODEL_VERSION,
            SHA256,
            FEATURES,
            required("predicted_factors", VECTOR, "Predicted place in latent space, n floats."),
        ),
        key=("project_id", "model_version"),
        scope="model_version",
    ),
)

BASELINES = (
    Table(
        "imagenet_embeddings",
        "Features of a network trained on labels, untouched: of its last layer, and of all levels.",
        (PROJECT, FEATURE_SET, SHA256, FEATURES_LIST),
        key=("project_id", "feature_set"),
    ),
    Table(
        "simple_embeddings",
        "Features that learned nothing: random weights and color; and those from outside.",
        (PROJECT, FEATURE_SET, SHA256, FEATURES_LIST),
        key=("project_id", "feature_set"),
    ),
    Table(
        "ridge_embeddings",
        "What a ridge regression from ImageNet features to train factors makes of every cover.",
        (
            PROJECT,
            FEATURE_SET,
            SHA256,
            required("features", VECTOR, "Predicted factors minus the train mean, n floats."),
        ),
        key=("project_id", "feature_set"),
    ),
)

GALLERY = (
    Table(
        "gallery",
        "The page of results, one row.",
        (
            MODEL_VERSION,
            required("artifact", "VARCHAR", "Version of the artifact that holds index.html."),
            required("n_covers", "BIGINT", "Covers on its map."),
            required("n_bytes", "BIGINT", "Size of the page."),
        ),
        key=("model_version",),
    ),
    Table(
        "cover_map",
        "Where every cover lies on the page's map.",
        (
            PROJECT,
            required("x", "FLOAT", "From left to right, 0 to 1."),
            required("y", "FLOAT", "From top to bottom, 0 to 1."),
        ),
        key=("project_id",),
    ),
)
