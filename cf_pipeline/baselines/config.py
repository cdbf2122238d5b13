"""Configuration of the feature sets to beat."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cf_pipeline.baselines.color import Color
from cf_pipeline.baselines.feature_set import ChosenFeatureSet
from cf_pipeline.baselines.imagenet import ImageNet
from cf_pipeline.baselines.metaclass_config import MetaClass
from cf_pipeline.baselines.untrained import Random
from cf_pipeline.benchmark.feature_sets import METACLASS
from cf_pipeline.vision.objectives.objective import Objective


class BaselinesConfig(BaseModel):
    """Reference features: a labelled network as it is, an untrained one, colour, and others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    imagenet: ImageNet = Field(
        default_factory=ImageNet, description="A network trained on ImageNet's labels, untouched."
    )
    random: Random = Field(
        default_factory=Random, description="The network that is trained, before it is."
    )
    color: Color = Field(default_factory=Color, description="RGB histograms.")
    metaclass: MetaClass = Field(
        default_factory=MetaClass,
        description="What classifiers of other labelled tasks' classes say of an image.",
    )
    extra: tuple[ChosenFeatureSet, ...] = Field(
        (),
        description="Further ones: dotted paths, entry points, or tables with name and settings.",
    )

    @model_validator(mode="after")
    def _names_differ(self) -> BaselinesConfig:
        """Tables tell feature sets apart by their names, the network's own layers among them."""
        names = [one.name for one in (self.imagenet, self.random, self.color, *self.extra)]
        names += [METACLASS, *Objective.layers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"expected feature sets of different names, {', '.join(twice)} comes twice. Derive "
                "a class of your own for the second."
            )
        return self
