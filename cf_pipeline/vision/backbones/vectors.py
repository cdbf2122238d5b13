"""No network: vectors of projects from outside stand where a backbone's features would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cf_pipeline.vision.backbones.backbone import RANDOM, Backbone

if TYPE_CHECKING:
    from torch import nn


class Vectors(Backbone):
    """Gives what it is given, (N, d) to (N, d). A data set without covers has no other."""

    name: Literal["vectors"] = "vectors"
    weights: str | None = RANDOM

    def build(self, image_size: int) -> nn.Module:
        """See Backbone; there is nothing of any size in it."""
        from torch import nn

        return nn.Identity()
