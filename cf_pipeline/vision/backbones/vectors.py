"""No network: vectors of projects from outside stand where a backbone's features would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cf_pipeline.vision.backbones.backbone import RANDOM, Backbone

if TYPE_CHECKING:
    from torch import nn


NAME = "cf_pipeline.vision.backbones.vectors:Vectors"
"""By its path, as a class from outside: nobody is to choose it for covers."""


class Vectors(Backbone):
    """Gives what it is given, (N, d) to (N, d). A data set without covers has no other."""

    name: str = NAME
    weights: str | None = RANDOM

    def build(self, image_size: int) -> nn.Module:
        """See Backbone; there is nothing of any size in it."""
        from torch import nn

        return nn.Identity()
