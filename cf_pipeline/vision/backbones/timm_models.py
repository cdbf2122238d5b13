"""Any network of timm, as `timm:<model>`, with a local weight file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.backbones.backbone import LibraryBackbone, Normalization, Schedule

if TYPE_CHECKING:
    from torch import nn


class Timm(LibraryBackbone):
    """A model of timm's by its name, with or without the tag of its weights."""

    def build(self, image_size: int) -> nn.Module:
        """See Backbone; transformers get position embeddings for this size."""
        import timm

        sized: dict[str, Any] = {} if self.any_size else {"img_size": image_size}
        return timm.create_model(self.model, pretrained=False, num_classes=0, **sized)

    def schedule(self) -> Schedule:
        """The model's own input size."""
        return Schedule(image_size=int(self._data()["input_size"][-1]))

    def normalization(self) -> Normalization:
        """The model's own."""
        return Normalization.of_shares(tuple(self._data()["mean"]), tuple(self._data()["std"]))

    @property
    def any_size(self) -> bool:
        """Convolutions do; transformers with absolute positions do not."""
        return not self._declared().get("fixed_input_size", False)

    def load(self, network: nn.Module, path: Path) -> None:
        """See Backbone; positions are resampled where the file is for covers of another size."""
        from cf_pipeline.vision.networks import load_renamed, read_weights

        state = read_weights(path)
        # timm's own reading of published files, which stands beside the network: it resamples
        # position embeddings and renames what its authors called otherwise.
        adapt = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
        if adapt is not None:
            try:
                state = adapt(state, network)
            except Exception as error:  # it trips over another network's tensors in its own ways
                raise ConfigError(
                    f"{path} does not fit timm's {self.model}: {type(error).__name__}: {error}. "
                    "Name the model that the file belongs to."
                ) from error
        load_renamed(network, state, path)

    def _declared(self) -> dict[str, Any]:
        """What timm says of the model, or of its weights where their tag is named too."""
        import timm

        if not timm.is_model(self.model):
            raise ConfigError(f"timm has no model {self.model!r}; timm.list_models() names them.")
        try:
            declared: Any = timm.get_pretrained_cfg(self.model, allow_unregistered=False)
        except RuntimeError as error:
            raise ConfigError(
                f"timm has no such weights of {self.model!r}: {error}. "
                "timm.list_models(pretrained=True) names them."
            ) from error
        return dict(declared.to_dict())

    def _data(self) -> dict[str, Any]:
        """Input size and normalization, with timm's defaults for what it does not say."""
        from timm.data.config import resolve_data_config

        return dict(resolve_data_config({}, self._declared()))  # type: ignore[no-untyped-call]
