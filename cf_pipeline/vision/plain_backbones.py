"""Which lines of plain Python build the network of a backbone, where a public library has it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from cf_pipeline.vision.backbones.backbone import Backbone
from cf_pipeline.vision.backbones.efficientnet_lite0 import EfficientNetLite0
from cf_pipeline.vision.backbones.timm_models import Timm
from cf_pipeline.vision.backbones.torchvision_models import TorchVision


@dataclass(frozen=True)
class PlainNetwork:
    """How a library builds a backbone's network, under the same names of tensors.

    Attributes:
        library: what has to be imported, `timm` or `torchvision`.
        model: its name there.
        arguments: of the library's function beside the name, as they are written.
        classifier: the layer that is taken off; none: the library leaves it off.
    """

    library: str
    model: str
    arguments: str
    classifier: str | None = None

    def lines(self, name: str) -> list[str]:
        """Lines that assign the network to a name, in evaluation mode, without its weights.

        They suppose that `torch` and the library are imported.
        """
        call = "timm.create_model" if self.library == "timm" else "torchvision.models.get_model"
        built = [f'{name} = {call}("{self.model}", {self.arguments}).eval()']
        if self.classifier is not None:
            built.append(f'{name}.set_submodule("{self.classifier}", torch.nn.Identity())')
        return built


def plain_network(backbone: Backbone, image_size: int) -> PlainNetwork | None:
    """How a public library builds what `backbone.build` builds; None: no library has it.

    Args:
        backbone: with its settings.
        image_size: of its input in pixels, for transformers with positions.
    """
    if isinstance(backbone, EfficientNetLite0):
        return PlainNetwork("timm", "tf_efficientnet_lite0", "num_classes=0")
    if isinstance(backbone, Timm):
        sized = "" if backbone.any_size else f", img_size={image_size}"
        return PlainNetwork("timm", backbone.model, f"num_classes=0{sized}")
    if isinstance(backbone, TorchVision):
        sized = f", image_size={image_size}" if backbone.model.startswith("vit_") else ""
        classifier = _taken_off(backbone, image_size)
        return PlainNetwork("torchvision", backbone.model, f"weights=None{sized}", classifier)
    return None


def _taken_off(backbone: TorchVision, image_size: int) -> str:
    """The last linear layer, in the place of which `build` put an identity."""
    import torchvision

    sized = {"image_size": image_size} if backbone.model.startswith("vit_") else {}
    whole = torchvision.models.get_model(backbone.model, weights=None, **sized)
    linear = [n for n, layer in whole.named_modules() if isinstance(layer, nn.Linear)]
    return str(linear[-1])
