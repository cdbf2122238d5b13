"""The feature sets by name."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from cf_pipeline.baselines.feature_set import FeatureSet
from cf_pipeline.registry import Registry

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
