"""The files of a network that leaves this project, and whether they say what the network says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image

from cf_pipeline.errors import DataError
from cf_pipeline.vision import standalone_cover
from cf_pipeline.vision.backbones.backbone import Backbone
from cf_pipeline.vision.config import Fit
from cf_pipeline.vision.covers import open_cover
from cf_pipeline.vision.devices import Execution
from cf_pipeline.vision.embedding import embed_covers
from cf_pipeline.vision.geometry import MAX_CROP, fit_cover
from cf_pipeline.vision.networks import CoverEncoder, CoverInput, initialized
from cf_pipeline.vision.portable import (
    TOLERANCE,
    Pixels,
    as_stored,
    disagreement,
    program_of,
    run_onnx,
    run_program,
    write_onnx,
    write_tensors,
)

PROGRAM, ONNX = "model.pt2", "model.onnx"
BACKBONE, HEAD = "backbone.safetensors", "head.safetensors"
COVER, PREPROCESSING = "cover.py", "preprocessing.json"

_FITS: dict[Fit, str] = {
    "whole": "crop where that loses at most max_crop of a side, else pad",
    "crop": "the largest central part of the wanted proportions, scaled",
    "pad": "scaled until all of the picture fits, centred, filled up with white",
    "squash": "both sides scaled, whatever the proportions",
}


@dataclass(frozen=True)
class Agreement:
    """How far the written files are from the network, over covers: `portable.disagreement`.

    Attributes:
        n_covers: how many were compared.
        program: of the torch program.
        onnx: of the ONNX file.
    """

    n_covers: int
    program: float
    onnx: float


def write_network(folder: Path, encoder: CoverEncoder, cover_input: CoverInput) -> int:
    """Write a network into an existing folder; returns the version of ONNX's operator set.

    Raises:
        DataError: it cannot be traced, or has no counterpart in ONNX.
    """
    write_tensors(encoder, folder / BACKBONE, folder / HEAD)
    write_preprocessing(folder / PREPROCESSING, cover_input)
    shutil.copyfile(standalone_cover.__file__, folder / COVER)
    program = program_of(encoder, cover_input.normalization, cover_input.shape)
    torch.export.save(program, folder / PROGRAM)
    return write_onnx(program, folder / ONNX)


def write_frozen(
    folder: Path, name: str, backbone: Backbone, cover_input: CoverInput
) -> tuple[str, str]:
    """Write a backbone with its first weights, untrained by us, and how it wants to see a cover.

    Returns:
        Names of the two files: `<name>.safetensors` and `<name>_preprocessing.json`.

    Raises:
        ConfigError: it cannot be built, or its weight file cannot be used.
    """
    files = (f"{name}.safetensors", f"{name}_preprocessing.json")
    network, _ = initialized(backbone, cover_input.shape.height)
    safetensors.torch.save_file(as_stored(network.state_dict()), folder / files[0])
    write_preprocessing(folder / files[1], cover_input)
    return files


def write_preprocessing(file: Path, cover_input: CoverInput) -> None:
    """Everything between a picture file and a network, as JSON."""
    text = json.dumps(preprocessing(cover_input), indent=2)
    file.write_text(text + "\n", encoding="utf-8")


def preprocessing(cover_input: CoverInput) -> dict[str, object]:
    """The settings that `standalone_cover` reads, with words for whoever writes it anew."""
    return {
        "height": cover_input.shape.height,
        "width": cover_input.shape.width,
        "fit": cover_input.fit,
        "fit_means": _FITS[cover_input.fit],
        "max_crop": MAX_CROP,
        "resample": "bicubic, antialiased (Pillow)",
        "reducing_gap": 3.0,
        "orientation": "upright by EXIF, before anything else",
        "background": "white, below transparency and beside padding",
        "channels": "RGB; no colour profile is applied",
        "units": "mean and std are of values 0 to 255: (value - mean) / std",
        "mean": list(cover_input.normalization.mean),
        "std": list(cover_input.normalization.std),
    }


def check_network(
    folder: Path,
    encoder: CoverEncoder,
    cover_input: CoverInput,
    paths: Sequence[Path],
    execution: Execution,
) -> Agreement:
    """Compare what was written with the network, on cover files.

    Args:
        folder: what `write_network` wrote.
        encoder: the network.
        cover_input: how it wants to see a cover.
        paths: n cover files, n at least 1.
        execution: on the CPU, as the written files are run.

    Raises:
        DataError: a cover cannot be read, or files and network differ by more than TOLERANCE.
    """
    pixels = _pixels(paths, cover_input)
    expected = embed_covers(encoder, cover_input, paths, execution)
    agreement = Agreement(
        len(paths),
        disagreement(expected, run_program(folder / PROGRAM, pixels)),
        disagreement(expected, run_onnx(folder / ONNX, pixels, execution.threads)),
    )
    for name, apart in ((PROGRAM, agreement.program), (ONNX, agreement.onnx)):
        if not apart <= TOLERANCE:
            raise DataError(
                f"{name} differs from the network by {apart:.1e} of the largest number of an "
                f"output on {len(paths)} covers, expected at most {TOLERANCE:.0e}. Nothing was "
                "exported; another version of torch, onnxscript or onnxruntime may agree."
            )
    return agreement


def _pixels(paths: Sequence[Path], cover_input: CoverInput) -> Pixels:
    """Covers as `cover.py` gives them, which must be as ours, (n, height, width, 3)."""
    how = preprocessing(cover_input)
    found = []
    for path in paths:
        ours = fit_cover(open_cover(path), cover_input.shape, cover_input.fit)
        with Image.open(path) as image:
            theirs = standalone_cover.prepared(image, how)
        if not np.array_equal(ours, theirs):
            raise DataError(
                f"{COVER} gives other pixels of {path} than training had. Nothing was exported; "
                "this is an error of cf_pipeline."
            )
        found.append(theirs)
    return np.stack(found)
