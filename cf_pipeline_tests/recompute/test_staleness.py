"""A record beside what would be read now."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.definitions import defs
from cf_pipeline.defs.conditions import STAGES
from cf_pipeline.errors import DataError
from cf_pipeline.recompute.staleness import Reading, StageSpec, recorded_version
from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.storage.records import AssetRecord
from cf_pipeline_tests.sources.conftest import write_dataset

BODY = ("cf_pipeline.defs.interactions", "pruned_matrix")
SPEC = StageSpec("pruned_matrix", "interactions", ("covers",), ("pruning",), None, BODY)
RECORD = AssetRecord(
    asset="pruned_matrix",
    data_version="rows",
    code_version="code",
    config_hash="config",
    inputs={"covers": "v1", "files": "f1"},
    run_id="run",
    computed_at=datetime(2026, 1, 2, tzinfo=UTC),
    seconds=1.0,
    metadata={"sections": {"pruning": "p1", "dataset.matrix": "m1"}},
)


def reading(tmp_path: Path, **changes: object) -> Reading:
    now = Reading(
        SPEC,
        load_dataset(write_dataset(tmp_path)),
        code_version="code",
        sections={"pruning": "p1", "dataset.matrix": "m1"},
        inputs={"covers": "v1", "files": "f1"},
        previous=RECORD,
    )
    return dataclasses.replace(now, **changes)  # type: ignore[arg-type]


def test_nothing_differs(tmp_path: Path) -> None:
    now = reading(tmp_path)
    assert now.differences == []
    assert now.current is RECORD
    assert now.has_same_maker


@pytest.mark.parametrize(
    ("changes", "why", "same_maker"),
    [
        ({"code_version": "new"}, "code changed", False),
        (
            {"sections": {"pruning": "p2", "dataset.matrix": "m1"}},
            "configuration changed: pruning",
            False,
        ),
        (
            {"sections": {"pruning": "p1"}},
            "configuration changed: other sections are read",
            False,
        ),
        (
            {"sections": {"pruning": "p1", "dataset.matrix": "m1", "split": "s"}},
            "configuration changed: split",
            False,
        ),
        ({"inputs": {"covers": "v2", "files": "f2"}}, "changed upstream: covers, files", False),
        ({"inputs": {"covers": "v2", "files": "f1"}}, "changed upstream: covers", True),
        ({"inputs": {"covers": "v1"}}, "changed upstream: other parents", False),
        (
            {"inputs": {"covers": "v1", "files": "f1", "more": "x"}},
            "changed upstream: more",
            True,
        ),
        ({"previous": None}, "never materialized", False),
    ],
)
def test_each_difference_has_its_words(
    tmp_path: Path, changes: dict[str, object], why: str, same_maker: bool
) -> None:
    now = reading(tmp_path, **changes)
    assert now.differences == [why]
    assert now.current is None
    assert now.has_same_maker is same_maker


def test_several_differences_are_all_said(tmp_path: Path) -> None:
    now = reading(tmp_path, code_version="new", sections={}, inputs={})
    assert len(now.differences) == 3


def test_a_section_is_hashed_by_what_it_resolves_to(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, reads=("pruning", "vision.backbone", "dataset.matrix"))
    dataset = load_dataset(write_dataset(tmp_path))
    default = spec.section_hashes(resolve(Choices()), dataset)
    assert default.keys() == {"pruning", "vision.backbone", "dataset.matrix"}
    # Said aloud, the default is still the default; another field of the section is not read.
    same = {"pruning.alpha": 1.0, "vision.backbone": "efficientnet_lite0", "vision.epochs": 99}
    assert spec.section_hashes(resolve(Choices(set=same)), dataset) == default
    other = spec.section_hashes(resolve(Choices(set={"vision.backbone": "resnet_small"})), dataset)
    assert {key for key in default if other[key] != default[key]} == {"vision.backbone"}


def test_a_version_that_was_never_recorded() -> None:
    assert recorded_version({"pruned_matrix": RECORD}, "pruned_matrix", "latent_factors") == "rows"
    with pytest.raises(DataError, match=r"latent_factors reads covers, .*run --select covers"):
        recorded_version({}, "covers", "latent_factors")


def test_the_code_of_a_method_counts_where_it_is_chosen() -> None:
    spec = dataclasses.replace(SPEC, reads=("vision.objective",))
    default = resolve(Choices())
    other = resolve(Choices(set={"vision.objective": "contrastive"}))
    warmer = resolve(Choices(set={"vision.objective.length": 0.3}))
    assert spec.code_version(default) == spec.code_version(warmer) != spec.code_version(other)
    # Where only the method runs and its settings stand elsewhere, too.
    runs = dataclasses.replace(SPEC, reads=(), runs=("vision.objective",))
    assert runs.code_version(default) != runs.code_version(other)
    assert runs.section_hashes(default, load_dataset(default.dataset)) == {}


def test_declared_keys_are_known_and_can_change_a_result() -> None:
    defs().resolve_asset_graph()
    configuration = resolve(Choices())
    for spec in STAGES.values():
        for key in (*spec.reads, *spec.runs):
            if not key.startswith("dataset."):
                configuration.value(key)
                assert key.partition(".")[0] not in {"resources", "tracking", "automation"}
