"""What a card says of licences: what ships is known, and nothing else is taken for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cf_pipeline.configuration.choices import Choices
from cf_pipeline.models.card_licence import OPENCLIPART_SHA256, licence_lines, licence_name
from cf_pipeline.models.lineage import Lineage, Made
from cf_pipeline.vision.backbones.efficientnet_lite0 import LITE0_SHA256
from cf_pipeline_tests.models.trained_home import START

DATA = Path(__file__).parents[2] / "data"
BUNDLED = {"/somewhere/interactions.parquet": OPENCLIPART_SHA256}


def lineage(hashes: Mapping[str, str] | None) -> Lineage:
    files: dict[str, Any] = {"n": 1} if hashes is None else {"sha256": dict(hashes)}
    rows = Made("raw_interactions", "v", "c", START, "run", {}, {}, files, None)
    return Lineage((rows,), Choices(), ())


def test_the_bundled_data_are_recognized_by_their_content() -> None:
    content = (DATA / "openclipart" / "interactions.parquet").read_bytes()
    assert hashlib.sha256(content).hexdigest() == OPENCLIPART_SHA256
    weights = {"Weights": LITE0_SHA256}
    assert licence_name(weights, lineage(BUNDLED)) == "apache-2.0"
    said = "\n".join(licence_lines(weights, lineage(BUNDLED)))
    assert "public domain" in said
    assert "copyright 2020 ML Illustrated" in said
    assert "not known" not in said


@pytest.mark.parametrize(
    "hashes", [None, {}, {"/a": "0" * 64}, {**BUNDLED, "/more.parquet": "0" * 64}]
)
def test_other_data_are_not_known(hashes: Mapping[str, str] | None) -> None:
    weights = {"Weights": "random"}
    assert licence_name(weights, lineage(hashes)) == "other"
    said = "\n".join(licence_lines(weights, lineage(hashes)))
    assert "their licence is not known here" in said
    assert "training began from random numbers" in said


def test_weights_from_elsewhere_are_not_known() -> None:
    weights = {"First": LITE0_SHA256, "Second": "ab" * 32}
    assert licence_name(weights, lineage(BUNDLED)) == "other"
    said = licence_lines(weights, lineage(BUNDLED))
    assert sum("SHA-256 `abab" in line for line in said) == 1
