"""What a feature set is: from cover files to one vector each, with nothing learned from behaviour.

The settings of a feature set are its fields. A configuration is resolved without torch, so files of
feature sets import it inside their functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, SerializeAsAny

from cf_pipeline.registry import Method, Registry
from cf_pipeline.vectors import Matrix, Progress, silent

if TYPE_CHECKING:
    from cf_pipeline.vision.devices import Execution


class FeatureSet(Method):
    """Base of the feature sets; its name is what tables and scoreboards call it."""

    def extract(
        self, paths: Sequence[Path], execution: Execution, progress: Progress = silent
    ) -> Matrix:
        """float32 features, shape (len(paths), d), one row per readable cover in order.

        Args:
            paths: cover files.
            execution: device, threads, covers at once.
            progress: called as covers are done.

        Raises:
            ConfigError: its settings cannot be used.
            DataError: a cover cannot be read (named).
        """
        raise NotImplementedError


FEATURE_SETS = Registry(
    sort="feature set",
    base="cf_pipeline.baselines.feature_set:FeatureSet",
    entries={
        "imagenet": "cf_pipeline.baselines.imagenet:ImageNet",
        "random": "cf_pipeline.baselines.untrained:Random",
        "color": "cf_pipeline.baselines.color:Color",
    },
    entry_points="cf_pipeline.feature_sets",
)
ChosenFeatureSet = Annotated[SerializeAsAny[FeatureSet], BeforeValidator(FEATURE_SETS.choose)]
"""A field that holds a feature set: its name, or a table with `name` and its settings."""
