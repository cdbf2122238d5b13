"""Any classifier of torchvision, as `torchvision:<model>`, with a local weight file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.backbones.backbone import LibraryBackbone, Normalization, Schedule

if TYPE_CHECKING:
    from torch import nn

_POSITIONS = "encoder.pos_embedding"


class TorchVision(LibraryBackbone):
    """A model of torchvision's by its name; features are what its last linear layer sees."""

    def build(self, image_size: int) -> nn.Module:
        """See Backbone; transformers get position embeddings for this size."""
        import torchvision
        from torch import nn

        self._declared()
        sized = {"image_size": image_size} if self._has_positions else {}
        network = cast("nn.Module", torchvision.models.get_model(self.model, weights=None, **sized))
        # The classifier is the last linear layer by the library's convention (fc, head, heads,
        # classifier).
        linear = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
        if not linear:
            raise ConfigError(
                f"torchvision's {self.model} has no linear classifier to take off, so its features "
                "cannot be told apart from its classes. Choose another model."
            )
        parent, _, child = linear[-1].rpartition(".")
        setattr(network.get_submodule(parent), child, nn.Identity())
        if "aux_logits" in vars(network):
            # Inception and GoogLeNet answer with a second classifier too while they train.
            vars(network)["aux_logits"] = False
        return network

    def schedule(self) -> Schedule:
        """The size that the model's own weights were evaluated at."""
        return Schedule(image_size=int(self._declared().crop_size[0]))

    def normalization(self) -> Normalization:
        """The model's own."""
        declared = self._declared()
        return Normalization.of_shares(tuple(declared.mean), tuple(declared.std))

    @property
    def any_size(self) -> bool:
        """Convolutions do; transformers with absolute positions, and MaxViT, do not."""
        return not self.model.startswith(("vit_", "maxvit_"))

    def load(self, network: nn.Module, path: Path) -> None:
        """See Backbone; positions are resampled where the file is for covers of another size."""
        from torchvision.models.vision_transformer import interpolate_embeddings

        from cf_pipeline.vision.networks import load_renamed, read_weights

        state = read_weights(path)
        if self._has_positions and _POSITIONS in state:
            sizes = cast("Any", network)
            try:
                state = interpolate_embeddings(sizes.image_size, sizes.patch_size, state)
            except ValueError as error:
                raise ConfigError(
                    f"{path} does not fit torchvision's {self.model}: {error}. Name the model that "
                    "the file belongs to."
                ) from error
        load_renamed(network, state, path)

    @property
    def _has_positions(self) -> bool:
        return self.model.startswith("vit_")

    def _declared(self) -> Any:
        """How the model's best weights want to see an image."""
        import torchvision

        # Classifiers alone: detection and segmentation models would download their backbone.
        if self.model not in torchvision.models.list_models(module=torchvision.models):
            raise ConfigError(
                f"torchvision has no classifier {self.model!r}; "
                "torchvision.models.list_models(module=torchvision.models) names them."
            )
        return torchvision.models.get_model_weights(self.model).DEFAULT.transforms()
