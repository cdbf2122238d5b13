"""AlexNet (Krizhevsky et al. 2012) in torchvision's form: the network of the talk's time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cf_pipeline.vision.backbones.backbone import Backbone, Schedule

if TYPE_CHECKING:
    from torch import nn


class AlexNet(Backbone):
    """4,096 features, what its second fully connected layer gives; 57 million parameters.

    Without a weight file it starts at random. A file may be torchvision's with its classifier.
    """

    name: str = "alexnet"

    def build(self, image_size: int) -> nn.Module:
        """The network for any size from 63 pixels."""
        import torchvision
        from torch import nn

        network: nn.Module = torchvision.models.alexnet(weights=None)
        classifier = network.get_submodule("classifier")
        assert isinstance(classifier, nn.Sequential)
        classifier[-1] = nn.Identity()
        return network

    def schedule(self) -> Schedule:
        """The paper's crops; without norms a higher rate diverges."""
        return Schedule(image_size=224, learning_rate=1e-4)
