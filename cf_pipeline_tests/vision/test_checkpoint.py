"""Checkpoints: what was trained comes back, from this release and from the first."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from cf_pipeline.errors import ConfigError, DataError
from cf_pipeline.vision.checkpoint import (
    MANIFEST,
    WEIGHTS,
    checkpoint_input,
    load_checkpoint,
    read_manifest,
    save_checkpoint,
)
from cf_pipeline.vision.embedding import embed_covers
from cf_pipeline.vision.examples import TrainingData
from cf_pipeline.vision.training import train
from cf_pipeline_tests.vision.small_world import changed, examples, on_cpu

HOME_0_1_0 = Path(__file__).parents[1] / "end_to_end" / "homes" / "home_0_1_0.tar.xz"


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covers")
    return examples(folder / "train", 16, seed=0), examples(folder / "validation", 8, seed=1)


@pytest.fixture(scope="module")
def trained(halves, tmp_path_factory):
    torch.set_num_threads(1)
    scratch = tmp_path_factory.mktemp("scratch")
    return train(TrainingData(*halves), changed(epochs=1), execution=on_cpu(scratch))


@pytest.fixture
def folder(trained, tmp_path):
    """A checkpoint as it was published, in a folder that a test may spoil."""
    save_checkpoint(tmp_path, trained.network, trained.manifest)
    return tmp_path


def rewritten(folder, **values):
    """The manifest with other values; None takes one away."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | values
    kept = {name: value for name, value in manifest.items() if value is not None}
    (folder / MANIFEST).write_text(json.dumps(kept), encoding="utf-8")


def test_round_trip(halves, trained, folder):
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, MANIFEST}
    network, manifest = load_checkpoint(folder)
    assert manifest == read_manifest(folder) == trained.manifest
    assert not network.training
    assert network.objective == changed().objective
    for name, value in trained.network.statistics.items():
        assert torch.equal(network.statistics[name], value)
    before, after = (
        embed_covers(net, checkpoint_input(manifest), halves[1].paths, on_cpu(folder))
        for net in (trained.network, network)
    )
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


def test_what_is_missing_is_named(folder):
    (folder / WEIGHTS).unlink()
    with pytest.raises(DataError, match=r"weights\.safetensors is missing"):
        load_checkpoint(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(DataError, match=r"no checkpoint in .*manifest\.json is missing"):
        load_checkpoint(folder)


def test_files_that_are_not_those_that_were_published(folder):
    whole = (folder / WEIGHTS).read_bytes()
    message = r"weights\.safetensors is not what was published.*from a backup"
    for spoilt in (b"", whole[:-1], whole[: len(whole) // 2]):
        (folder / WEIGHTS).write_bytes(spoilt)
        with pytest.raises(DataError, match=message):
            load_checkpoint(folder)
    (folder / WEIGHTS).write_bytes(whole)
    rewritten(folder, n_features=255)
    with pytest.raises(DataError, match=message):
        load_checkpoint(folder)
    (folder / MANIFEST).write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"manifest\.json is not as it was published"):
        read_manifest(folder)


def test_a_method_that_is_gone(folder):
    rewritten(folder, backbone={"name": "gone_lab.nets:Tiny"})
    assert read_manifest(folder).backbone["name"] == "gone_lab.nets:Tiny"  # for those who list it
    with pytest.raises(ConfigError, match="gone_lab"):
        load_checkpoint(folder)
    rewritten(folder, backbone={"name": "resnet_small", "depth": 9})
    with pytest.raises(ConfigError, match=r"'resnet_small', depth: .*not permitted"):
        load_checkpoint(folder)


def test_a_manifest_from_before_warm_starts_is_read(trained, folder):
    rewritten(folder, started_from=None)
    assert load_checkpoint(folder)[1] == trained.manifest


class TestRelease010:
    @pytest.fixture
    def old(self, tmp_path):
        """The checkpoint of a home that release 0.1.0 wrote."""
        with tarfile.open(HOME_0_1_0) as archive:
            members = [m for m in archive if "/artifacts/checkpoint/" in m.name and m.isfile()]
            archive.extractall(tmp_path, members, filter="data")
        (manifest,) = tmp_path.rglob(MANIFEST)
        return manifest.parent

    def test_its_checkpoint_is_loaded(self, halves, old):
        network, manifest = load_checkpoint(old)
        assert manifest.backbone == {"name": "resnet_small", "weights": None}
        assert manifest.objective == {
            "name": "contrastive",
            "weight": 1.0,
            "temperature": 0.2,
            "target_temperature": 0.1,
        }
        assert manifest.configuration["init"] == "scratch"
        features, factors = embed_covers(
            network, checkpoint_input(manifest), halves[1].paths, on_cpu(old)
        )
        assert (features.shape, factors.shape) == ((8, 256), (8, 8))
        # As the first release computed it: head times features, nothing else.
        tensors = safetensors.torch.load_file(old / WEIGHTS)
        head = features @ tensors["head.weight"].numpy().T + tensors["head.bias"].numpy()
        assert factors == pytest.approx(head, abs=1e-4)
        assert network.statistics["mean"].tolist() == pytest.approx(manifest.target_mean)

    def test_written_again_it_is_of_this_release(self, old, tmp_path):
        network, manifest = load_checkpoint(old)
        (tmp_path / "now").mkdir()
        save_checkpoint(tmp_path / "now", network, manifest)
        assert load_checkpoint(tmp_path / "now")[1] == manifest

    def test_regression_and_pretrained_weights(self, old):
        section = json.loads((old / MANIFEST).read_text(encoding="utf-8"))["configuration"]
        section |= {"init": "pretrained", "weights": "/a/b.pth", "objective": "regression"}
        rewritten(
            old,
            architecture="efficientnet_lite0",
            objective="regression",
            configuration=section,
        )
        manifest = read_manifest(old)
        assert manifest.backbone == {"name": "efficientnet_lite0", "weights": "/a/b.pth"}
        assert manifest.objective == {"name": "regression"}
