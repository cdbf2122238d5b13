"""Tables of labelled tasks: images, features, and what a probe makes of them.

Feature sets of several lengths stand in one column of `FLOAT[]` lists.
"""

from __future__ import annotations

from cf_pipeline.benchmark.task_splits import SPLIT_RULES, UNUSED
from cf_pipeline.storage.columns import (
    DIFFERENCE,
    FEATURE_SET,
    FEATURES_LIST,
    HIGH,
    IMAGE,
    LOW,
    METRIC,
    MODEL_VERSION,
    REFERENCE,
    SHA256,
    SPLITS,
    TASK,
    VALUE,
)
from cf_pipeline.storage.schema import Column, Table, required

SIDE_OF_TASK = required(
    "split", "VARCHAR", "Fitted or scored on, or neither.", SPLITS - {"validation"} | {UNUSED}
)
OF_TASK = (
    Column("variant", "VARCHAR", "Which of several sets of one name."),
    required("split_rule", "VARCHAR", "Who divided it: makers, looks or draws.", SPLIT_RULES),
    Column("n_listed", "BIGINT", "Images that its lists name."),
    Column("n_found", "BIGINT", "Images of which there is a file."),
    Column("n_used", "BIGINT", "Images that can be used."),
    Column("n_draws", "BIGINT", "Draws of train and test."),
)
"""Of a labelled set, beside every score."""

LABELLED = (
    Table(
        "benchmark_tasks",
        "Labelled images.",
        (
            TASK,
            IMAGE,
            required("path", "VARCHAR", "The image file.", in_version=False),
            SHA256,
            Column("label", "VARCHAR", "Its class, where it has one alone."),
            required("labels", "VARCHAR[]", "All of its classes."),
            SIDE_OF_TASK,
            Column("look_component", "VARCHAR", "Images connected by pairs that look alike."),
        ),
        key=("task", "image_id"),
    ),
    Table(
        "benchmark_task_draws",
        "Second and further draws of tasks that are drawn; the first is in benchmark_tasks.",
        (
            TASK,
            required("draw", "BIGINT", "Number of the draw, from 1."),
            IMAGE,
            SIDE_OF_TASK,
        ),
        key=("task", "draw", "image_id"),
    ),
    Table(
        "benchmark_task_facts",
        "What became of each labelled set.",
        (
            TASK,
            *OF_TASK,
            required("is_multi_label", "BOOLEAN", "Whether an image has any number of labels."),
            Column("n_classes", "BIGINT", "Classes that are told apart."),
            Column("n_covers", "BIGINT", "Images that are held-out covers of this data set."),
            Column("n_test_seen", "BIGINT", "Test images that look like a train image."),
            required("left_out", "VARCHAR[]", "Classes with too few images."),
            required("told", "VARCHAR[]", "Feature sets whose makers were told such labels."),
        ),
        key=("task",),
    ),
    Table(
        "benchmark_tasks_rejected",
        "Labelled images turned away.",
        (
            TASK,
            Column("image_id", "VARCHAR", "Outside key of the image."),
            Column("path", "VARCHAR", "The image file.", in_version=False),
            Column("label", "VARCHAR", "Its class."),
            required("reason", "VARCHAR", "Why it cannot be used."),
        ),
        key=(),
    ),
    Table(
        "task_baseline_embeddings",
        "Features of labelled images that no model of ours has a part in.",
        (TASK, IMAGE, FEATURE_SET, SHA256, FEATURES_LIST),
        key=("task", "image_id", "feature_set"),
    ),
    Table(
        "task_embeddings",
        "Features of labelled images by our networks.",
        (TASK, IMAGE, FEATURE_SET, MODEL_VERSION, SHA256, FEATURES_LIST),
        key=("model_version", "task", "image_id", "feature_set"),
        scope="model_version",
    ),
    Table(
        "metaclass_embeddings",
        "Meta-class features of labelled images: what classifiers of other tasks' classes say.",
        (
            TASK,
            IMAGE,
            required("trained_on", "VARCHAR[]", "The tasks whose classes these are."),
            FEATURES_LIST,
        ),
        key=("task", "image_id"),
    ),
    Table(
        "metaclass_nodes",
        "What each of those classifiers tells from all else: a class, or classes taken for one "
        "another.",
        (
            TASK,
            required("node", "BIGINT", "Which feature, from 0."),
            Column("parent", "BIGINT", "The node of which it is a part; null at the top."),
            required("classes", "VARCHAR[]", "Its classes, each as task: label."),
        ),
        key=("task", "node"),
    ),
    Table(
        "benchmark_scores",
        "What a linear probe makes of the features.",
        (
            MODEL_VERSION,
            TASK,
            FEATURE_SET,
            METRIC,
            VALUE,
            LOW,
            HIGH,
            Column("n_train", "BIGINT", "Images fitted on."),
            Column("n_test", "BIGINT", "Images scored."),
            *OF_TASK,
            Column("deviation", "DOUBLE", "Between draws; null where there is one."),
            Column("note", "VARCHAR", "What a model could have known of the task beforehand."),
        ),
        key=("model_version", "task", "feature_set", "metric"),
        scope="model_version",
    ),
    Table(
        "benchmark_differences",
        "The same, paired: features minus reference.",
        (
            MODEL_VERSION,
            TASK,
            FEATURE_SET,
            REFERENCE,
            METRIC,
            DIFFERENCE,
            LOW,
            HIGH,
        ),
        key=("model_version", "task", "feature_set", "reference", "metric"),
        scope="model_version",
    ),
    Table(
        "benchmark_classes",
        "The same, class by class.",
        (
            MODEL_VERSION,
            TASK,
            FEATURE_SET,
            METRIC,
            required("class", "VARCHAR", "Which one."),
            VALUE,
            Column("n_test", "BIGINT", "Images of it that were scored."),
        ),
        key=("model_version", "task", "feature_set", "metric", "class"),
        scope="model_version",
    ),
)
