"""The card of an exported model: what it is, how it is loaded, how good it is, where it is wrong.

Markdown with the head that model hubs read. Every number in it comes from the home or from the
export itself.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cf_pipeline.benchmark.report import markdown
from cf_pipeline.models.card_figures import data_section, errors_section, figures_section
from cf_pipeline.models.card_licence import licence_lines, licence_name
from cf_pipeline.models.card_usage import Usage
from cf_pipeline.models.lineage import Lineage
from cf_pipeline.models.misplaced import Misplaced
from cf_pipeline.sources.dataset import Dataset
from cf_pipeline.storage.warehouse import Warehouse

if TYPE_CHECKING:
    from cf_pipeline.vision.checkpoint import Manifest
    from cf_pipeline.vision.portable_folder import Agreement

_PACKAGES = ("cf_pipeline", "torch", "timm", "torchvision", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Card:
    """What a card is written of.

    Attributes:
        version: of the model.
        manifest: of its checkpoint.
        lineage: of the model.
        warehouse: of the home.
        dataset: its `dataset.toml`.
        usage: how the folder is loaded.
        agreement: of its files with the network.
        opset: version of ONNX's operator set.
        misplaced: where the model is wrong; None: nothing to compare.
        beside_weights: `random` or the SHA-256 of those of the network beside the layer; None:
            there is none in the folder.
        files: name to size in bytes and what it is, in the order of the card.
    """

    version: str
    manifest: Manifest
    lineage: Lineage
    warehouse: Warehouse
    dataset: Dataset
    usage: Usage
    agreement: Agreement
    opset: int
    misplaced: Misplaced | None
    beside_weights: str | None
    files: Mapping[str, tuple[int, str]]

    def text(self) -> str:
        """The whole card."""
        parts = [
            self._head(),
            f"# Collaborative features of {self.dataset.name}: model {self.version}",
            *self._what(),
            "## Files",
            self._files(),
            "## Loading it",
            *self.usage.sections(),
            "## Data",
            *data_section(self.warehouse, self.dataset, self.lineage),
            "## Licence",
            "\n".join(licence_lines(self._weights(), self.lineage)),
            "## Figures",
            *figures_section(self.warehouse, self.version),
            "## Where it is wrong",
            *errors_section(self.misplaced),
            "## Limits",
            "\n".join(f"- {limit}" for limit in self._limits()),
            "## How it was made",
            *self._made(),
        ]
        return "\n\n".join(parts) + "\n"

    def _head(self) -> str:
        licence = licence_name(self._weights(), self.lineage)
        plain = self.usage.plain
        library = plain.library if plain is not None else "pytorch"
        lines = ["---", f"license: {licence}"]
        if licence == "other":
            lines += ["license_name: see-readme", "license_link: README.md#licence"]
        lines += [
            f"library_name: {library}",
            "pipeline_tag: image-feature-extraction",
            "tags:",
            *(f"- {tag}" for tag in ("cf_pipeline", "collaborative-filtering", library, "onnx")),
            "---",
        ]
        return "\n".join(lines)

    def _weights(self) -> dict[str, str]:
        """What weights are in the folder, to where they come from."""
        weights = {"Weights that training began with, and changed": self.manifest.initial_weights}
        if self.beside_weights is not None:
            weights["Weights of the network beside it, unchanged"] = self.beside_weights
        return weights

    def _what(self) -> list[str]:
        manifest = self.manifest
        height, width = manifest.shape
        features = f"{manifest.n_features:,} features"
        if manifest.levels:
            features += (
                f", means and deviations of {len(manifest.levels)} stages before the pooled last "
                "layer"
            )
        return [
            "A network that maps a picture to its place in a latent space of users and projects: "
            "factors were found in who engaged with what, and the network learned to predict a "
            "project's factors from its cover alone. No labels were used but those that the first "
            "weights may have come from.",
            f"Backbone `{manifest.backbone['name']}`, input {height} x {width} pixels (height x "
            f"width), fit `{manifest.fit}`. It gives {features}, and {manifest.n_factors} "
            "predicted factors: the direction from the mean of the train factors, up to length.",
        ]

    def _files(self) -> str:
        rows = [[f"`{name}`", f"{size:,}", what] for name, (size, what) in self.files.items()]
        return markdown(["file", "bytes", "what"], rows)

    def _limits(self) -> list[str]:
        height, width = self.manifest.shape
        limits = [
            "It places a picture among the projects and users of its data. Where other users, "
            "other kinds of pictures or other times are meant, nothing here says how good it is.",
            "It says who would be interested in what looks like this; not whether a picture is "
            "good, true or allowed.",
            f"Pictures are seen in {height} x {width} pixels: small text and detail are lost.",
            "What engages people beyond the cover (title, maker, time, price) is not in a picture.",
            f"The program was written by {_versions(['torch'])[0]}; an earlier one may not load "
            f"it; the ONNX file has operator set {self.opset}.",
            "Figures are of one split of one home. Those of another processor or device differ in "
            "the last digits.",
        ]
        if self.misplaced is not None:
            near = 1 - self.misplaced.mean
            limits.append(
                f"On average a prediction has a cosine of {near:.2f} with the factors that a "
                "held-out project's own users give it: a cover says part of where it belongs."
            )
        return limits

    def _made(self) -> list[str]:
        manifest, agreement = self.manifest, self.agreement
        objective = {k: v for k, v in manifest.objective.items() if k != "name"}
        settings = json.dumps(objective, sort_keys=True) if objective else "its defaults"
        epochs = manifest.configuration.get("epochs", "unknown")
        end = manifest.share_of_end
        blend = "" if end is None else f"; {end:.2f} of the end of training in the weights"
        first = next(made for made in self.lineage.made if made.asset == "trained_cnn")
        judged = "no judge's queries"
        if manifest.validation_ndcg is not None:
            judged = f"nDCG at 10 {manifest.validation_ndcg:.3f}"
        rows = [
            ["recipe, budget", f"`{self.lineage.choices.recipe}`, `{self.lineage.choices.budget}`"],
            ["trained", f"{first.computed_at:%Y-%m-%d %H:%M} UTC"],
            ["objective", f"`{manifest.objective['name']}` with {settings}"],
            ["epochs", f"{epochs}; best: {manifest.best_epoch}{blend}"],
            ["chosen by", f"`{manifest.chosen_by}`"],
            [
                "train and validation projects",
                f"{manifest.n_train:,} and {manifest.n_validation:,}",
            ],
            ["on validation", f"cosine {manifest.validation_cosine:.3f}, {judged}"],
            ["continued from", manifest.started_from or "no earlier model"],
            ["torch at training", manifest.torch_version],
            ["packages at export", ", ".join(_versions(_PACKAGES))],
        ]
        versions = [[m.asset, m.data_version, m.code_version] for m in self.lineage.made]
        return [
            markdown(["", ""], rows),
            f"At export, on {agreement.n_covers} covers of the home, `model.pt2` differed from the "
            f"network by at most {agreement.program:.1e} and `model.onnx` by {agreement.onnx:.1e}: "
            "the largest difference in either output, relative to the largest number of that "
            "cover's output.",
            "What it was made of, itself first; `cf-pipeline lineage` in its home tells more:",
            markdown(["asset", "data version", "code version"], versions),
        ]


def _versions(packages: Sequence[str]) -> list[str]:
    return [f"{name} {importlib.metadata.version(name)}" for name in packages]
