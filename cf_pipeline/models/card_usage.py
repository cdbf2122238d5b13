"""The part of a model card that is run: lines of plain Python that load what was exported.

Every block stands on its own but for the two that say so; tests run exactly these lines, where this
project cannot be imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cf_pipeline.benchmark.feature_sets import COLLABORATIVE
from cf_pipeline.models.form_parts import FormParts

if TYPE_CHECKING:
    from cf_pipeline.vision.plain_backbones import PlainNetwork

PLAIN, HEAD, PROGRAM, ONNX, FORM = (
    "With safetensors and a public library",
    "Predicted factors from these features",
    "As a torch program",
    "With ONNX Runtime",
    "The exported form",
)
"""Titles of the blocks."""

_PROGRAM_LINES = """\
import torch
from cover import pixels  # the file beside this card: Pillow and NumPy alone

network = torch.export.load("model.pt2").module()
with torch.inference_mode():
    features, predicted_factors = network(torch.from_numpy(pixels("cover.png"))[None])"""
_ONNX_LINES = """\
import onnxruntime
from cover import pixels  # the file beside this card: Pillow and NumPy alone

session = onnxruntime.InferenceSession("model.onnx")
features, predicted_factors = session.run(None, {"pixels": pixels("cover.png")[None]})"""
_FEATURES_LINE = 'features = ({whole} - head["center"]) * head["scale"]'
_HEAD_LINE = 'predicted_factors = features @ head["weight"].T + head["bias"]'


@dataclass(frozen=True)
class Usage:
    """What the lines depend on.

    Attributes:
        plain: how a public library builds the backbone; None: none has it.
        levels: modules of the backbone that are pooled beside its last layer.
        head_is_plain: whether outputs of the head are the predicted factors.
        form: of the exported vectors; None: no mean of it is known.
        beside_plain: how a public library builds the network beside; None: none, or none has it.
    """

    plain: PlainNetwork | None
    levels: Sequence[str]
    head_is_plain: bool
    form: FormParts | None
    beside_plain: PlainNetwork | None

    def sections(self) -> list[str]:
        """Paragraphs and blocks in Markdown, each under its title."""
        parts = [
            "All lines run in this folder, and `cover.png` stands for any picture file. Pixels are "
            "uint8 of shape (N, height, width, 3); `features` and `predicted_factors` come as "
            "float32, a row for each picture."
        ]
        if self.plain is not None:
            parts += [f"### {PLAIN}", _block(self._plain_lines())]
            if self.head_is_plain:
                parts += [f"### {HEAD}", _block([_HEAD_LINE])]
            else:
                parts.append(
                    "Of these features the head gives what the objective asks for; predicted "
                    "factors come from the program or the ONNX file."
                )
        else:
            parts.append(
                "No public library has this backbone: its tensors in `backbone.safetensors` have "
                "the names of cf_pipeline's own class, and what loads without it is the program."
            )
        parts += [f"### {PROGRAM}", _block([_PROGRAM_LINES])]
        parts += [f"### {ONNX}", _block([_ONNX_LINES])]
        return [*parts, f"### {FORM}", *self._form_section()]

    def _plain_lines(self) -> list[str]:
        assert self.plain is not None
        build, *more = self.plain.lines("network")
        lines = [
            f"import torch, {self.plain.library}",
            "from safetensors.torch import load_file",
            "from cover import normalized  # the file beside this card: Pillow and NumPy alone",
            "",
            f"{build}.requires_grad_(False)",
            *more,
            'network.load_state_dict(load_file("backbone.safetensors"))',
        ]
        cover = 'network(torch.from_numpy(normalized("cover.png"))[None])'
        if not self.levels:
            whole = _FEATURES_LINE.format(whole=cover)
            return [*lines, 'head = load_file("head.safetensors")', whole]
        pooled = "pooled.extend(torch.std_mean(a[2], (2, 3), correction=0)[::-1])"
        names = ", ".join(f'"{name}"' for name in self.levels)
        return [
            *lines,
            'head, pooled = load_file("head.safetensors"), []',
            f"for name in [{names}]:",
            f"    network.get_submodule(name).register_forward_hook(lambda *a: {pooled})",
            f"last = {cover}",
            _FEATURES_LINE.format(whole="torch.cat([*pooled, last], dim=1)"),
        ]

    def _form_section(self) -> list[str]:
        if self.form is None:
            return [
                "The home has no embeddings of this model, so no mean of its train covers is known "
                "and the folder gives the layers as they are."
            ]
        form, what = self.form.form, "the form that validation chose"
        layer = "features" if form.layer == COLLABORATIVE else form.layer
        if not self.form.scored:
            what = "the features layer, since no form was chosen for this model"
        said = (
            f"`cf-pipeline export embeddings` gives a column `collaborative`: {what}, here "
            f"**{form.name}**, of unit norm. Cosines of it are what the scoreboard ranks by. "
        )
        if form.beside is not None and self.beside_plain is None:
            return [
                f"{said}`form.safetensors` has what it takes from train projects, but no public "
                f"library has the network of `{form.beside}`; the folder gives the layer alone."
            ]
        elsewhere = self.plain is not None and (self.head_is_plain or layer == "features")
        said += f"After the program's lines{', or those before it' if elsewhere else ''}:"
        own = f'torch.nn.functional.normalize({layer} - form["mean"])'
        if form.beside is not None:
            return [said, _block(self._beside_lines(form.beside, own))]
        load = [
            "from safetensors.torch import load_file",
            "",
            'form = load_file("form.safetensors")',
        ]
        return [said, _block([*load, f"collaborative = {own}"])]

    def _beside_lines(self, beside: str, own: str) -> list[str]:
        assert self.beside_plain is not None
        assert self.form is not None
        build, *more = self.beside_plain.lines("frozen")
        cover = f'normalized("cover.png", "{beside}_preprocessing.json")'
        seen = f'frozen(torch.from_numpy({cover})[None]) - form["{beside}_mean"]'
        if self.form.beside_matrix is not None:
            seen = f'({seen}) @ form["{beside}_matrix"]'
        return [
            f"import {self.beside_plain.library}",
            "from safetensors.torch import load_file",
            "from cover import normalized",
            "",
            f"{build}.requires_grad_(False)",
            *more,
            f'frozen.load_state_dict(load_file("{beside}.safetensors"))',
            'form = load_file("form.safetensors")',
            f"own = {own}",
            f"beside = torch.nn.functional.normalize({seen})",
            "collaborative = torch.nn.functional.normalize(torch.cat([own, beside], dim=1))",
        ]


def _block(lines: Sequence[str]) -> str:
    return "\n".join(["```python", *lines, "```"])
