"""The objectives and the backbones by name."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from cf_pipeline.registry import Registry
from cf_pipeline.vision.backbones.backbone import Backbone
from cf_pipeline.vision.objectives.objective import Objective

OBJECTIVES = Registry(
    sort="objective",
    base="cf_pipeline.vision.objectives.objective:Objective",
    entries={
        "contrastive": "cf_pipeline.vision.objectives.contrastive:Contrastive",
        "regression": "cf_pipeline.vision.objectives.regression:Regression",
    },
    entry_points="cf_pipeline.objectives",
)
BACKBONES = Registry(
    sort="backbone",
    base="cf_pipeline.vision.backbones.backbone:Backbone",
    entries={
        "efficientnet_lite0": "cf_pipeline.vision.backbones.efficientnet_lite0:EfficientNetLite0",
        "resnet_small": "cf_pipeline.vision.backbones.resnet_small:ResNetSmall",
    },
    entry_points="cf_pipeline.backbones",
    prefixes={
        "timm": "cf_pipeline.vision.backbones.timm_models:Timm",
        "torchvision": "cf_pipeline.vision.backbones.torchvision_models:TorchVision",
    },
)
ChosenObjective = Annotated[SerializeAsAny[Objective], BeforeValidator(OBJECTIVES.choose)]
"""A field that holds an objective: its name, or a table with `name` and its settings."""
ChosenBackbone = Annotated[SerializeAsAny[Backbone], BeforeValidator(BACKBONES.choose)]
"""A field that holds a backbone: its name, or a table with `name` and its settings."""
