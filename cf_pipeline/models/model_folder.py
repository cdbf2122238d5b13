"""A trained model as a folder that loads without this project: weights, program, ONNX, card."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cf_pipeline.configuration.choices import Choices, Configuration, resolve
from cf_pipeline.errors import DataError
from cf_pipeline.models.card_usage import Usage
from cf_pipeline.models.catalogue import model_meant, warehouse_of
from cf_pipeline.models.form_parts import FormParts, form_parts
from cf_pipeline.models.lineage import lineage_of
from cf_pipeline.models.misplaced import misplaced
from cf_pipeline.models.model_card import Card
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.artifacts import Artifacts
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse

if TYPE_CHECKING:
    from cf_pipeline.vision.backbones.backbone import Backbone
    from cf_pipeline.vision.checkpoint import Manifest
    from cf_pipeline.vision.networks import CoverEncoder
    from cf_pipeline.vision.plain_backbones import PlainNetwork
    from cf_pipeline.vision.portable_folder import Agreement

CARD, FORM = "README.md", "form.safetensors"
N_CHECKED = 16
"""Covers of the home on which the written files are compared with the network."""

_WHAT = {
    "backbone.safetensors": "the trained backbone's tensors",
    "head.safetensors": "`center` and `scale` of features, `weight` and `bias` of the head, "
    "`statistics.*` of the train factors",
    "model.pt2": "features and predicted factors of pixels, by `torch.export`",
    "model.onnx": "the same for ONNX Runtime",
    "cover.py": "picture file to pixels; Pillow and NumPy alone",
    "preprocessing.json": "size, fit, mean and deviation, which `cover.py` reads",
    FORM: "what the exported form takes from train projects",
}


@dataclass(frozen=True)
class ExportedModel:
    """What was written.

    Attributes:
        version: of the model.
        folder: absolute.
        n_bytes: of all its files.
        agreement: of the written files with the network.
    """

    version: str
    folder: Path
    n_bytes: int
    agreement: Agreement


def export_model(home: Home, folder: Path, model: str | None = None) -> ExportedModel:
    """Write one model as a folder that plain torch, timm, torchvision or ONNX Runtime load.

    Args:
        home: where.
        folder: to make; there is none yet, or an empty one. It appears whole or not at all.
        model: a model version or how it begins; None: the champion, which serves, or the newest
            model where none was promoted yet.

    Raises:
        ConfigError: the model's backbone or objective is gone or has other settings by now.
        DataError: no such model, its covers or checkpoint are gone, the folder holds something or
            cannot be written, or a written file does not agree with the network.
    """
    folder = Path(os.path.abspath(folder.expanduser()))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            f"{folder} holds something already. Expected a folder that is empty or not there yet; "
            "name another one."
        )
    configuration = resolve(Choices.read(home.config_path))
    warehouse = warehouse_of(home)
    version = model_meant(warehouse, home, model)
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        draft.mkdir(parents=True)
        agreement = _write(draft, home, warehouse, configuration, version)
        for file in draft.iterdir():
            file.chmod(0o644)  # safetensors makes files that nobody else may read
        if folder.exists():
            folder.rmdir()  # it was empty a while ago; if it is not any more, this says so
        draft.rename(folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error}. Choose another place.") from error
    finally:
        if draft.exists():
            shutil.rmtree(draft)
    n_bytes = sum(file.stat().st_size for file in folder.iterdir())
    return ExportedModel(version, folder, n_bytes, agreement)


def _write(
    folder: Path, home: Home, warehouse: Warehouse, configuration: Configuration, version: str
) -> Agreement:
    """All files; what is written last, the card, tells of the others."""
    import safetensors.numpy
    import torch

    from cf_pipeline.vision.checkpoint import checkpoint_input, load_checkpoint
    from cf_pipeline.vision.devices import Execution
    from cf_pipeline.vision.portable_folder import check_network, write_network

    encoder, manifest = load_checkpoint(Artifacts(home.artifacts_path).find("checkpoint", version))
    cover_input = checkpoint_input(manifest)
    opset = write_network(folder, encoder, cover_input)
    threads = configuration.resources.threads or torch.get_num_threads()
    execution = Execution(torch.device("cpu"), threads, folder, N_CHECKED)
    paths = _some_covers(warehouse)
    agreement = check_network(folder, encoder, cover_input, paths, execution)
    parts = form_parts(warehouse, version, configuration.benchmark.imagenet_form)
    what, beside = dict(_WHAT), None
    if parts is not None:
        safetensors.numpy.save_file(parts.tensors(), folder / FORM)
        beside = _write_beside(folder, parts, configuration, what)
    lineage = lineage_of(home, "trained_cnn", version)
    card = Card(
        version=version,
        manifest=manifest,
        lineage=lineage,
        warehouse=warehouse,
        dataset=load_dataset(Path(configuration.dataset)),
        usage=_usage(encoder, manifest, parts, beside),
        agreement=agreement,
        opset=opset,
        misplaced=misplaced(warehouse, version, manifest.target_mean, lineage),
        beside_weights=_weights_beside(configuration) if beside is not None else None,
        files={
            name: ((folder / name).stat().st_size, said)
            for name, said in what.items()
            if (folder / name).is_file()
        },
    )
    (folder / CARD).write_text(card.text(), encoding="utf-8")
    return agreement


def _some_covers(warehouse: Warehouse) -> list[Path]:
    """A few readable covers, by their hashes: the same ones each time."""
    rows = warehouse.frame("covers", ("sha256", "path"), where="status = 'ok'")
    some = rows.unique("sha256", keep="first", maintain_order=True).sort("sha256")
    if some.is_empty():
        raise DataError("the home has no readable cover to compare the exported files on.")
    return [Path(path) for path in some["path"].head(N_CHECKED)]


def _usage(
    encoder: CoverEncoder,
    manifest: Manifest,
    parts: FormParts | None,
    beside: PlainNetwork | None,
) -> Usage:
    from cf_pipeline.vision.backbones.backbone import BACKBONES
    from cf_pipeline.vision.objectives.objective import Objective
    from cf_pipeline.vision.plain_backbones import plain_network

    backbone: Backbone = BACKBONES.choose(manifest.backbone)
    return Usage(
        plain=plain_network(backbone, manifest.shape[0]),
        levels=tuple(manifest.levels),
        head_is_plain=type(encoder.objective).predicted is Objective.predicted,
        form=parts,
        beside_plain=beside,
    )


def _weights_beside(configuration: Configuration) -> str:
    return str(configuration.baselines.imagenet.backbone.initial_weights())


def _write_beside(
    folder: Path, parts: FormParts, configuration: Configuration, what: dict[str, str]
) -> PlainNetwork | None:
    """The network whose features stand beside the layer, where there is one and a library has it.

    What its files are is added to the descriptions.
    """
    if parts.form.beside is None:
        return None
    from cf_pipeline.vision.geometry import square
    from cf_pipeline.vision.networks import CoverInput
    from cf_pipeline.vision.plain_backbones import plain_network
    from cf_pipeline.vision.portable_folder import write_frozen

    frozen = configuration.baselines.imagenet
    plain = plain_network(frozen.backbone, frozen.image_size)
    if plain is None:
        return None
    cover_input = CoverInput(frozen.backbone.normalization(), square(frozen.image_size), frozen.fit)
    weights, settings = write_frozen(folder, parts.form.beside, frozen.backbone, cover_input)
    what |= {weights: "the labelled network beside it, as it came", settings: "its preprocessing"}
    return plain
