"""Features of several levels: what they are, that they are balanced, and that they are kept."""

import numpy as np
import pytest
import torch

from cf_pipeline.vision.backbones.backbone import BACKBONES
from cf_pipeline.vision.checkpoint import load_checkpoint, save_checkpoint
from cf_pipeline.vision.devices import activations_checkpointed
from cf_pipeline.vision.examples import TrainingData
from cf_pipeline.vision.networks import CoverRegressor, built
from cf_pipeline.vision.training import train
from cf_pipeline_tests.vision.small_world import changed, examples, on_cpu

LITE0 = BACKBONES.choose("efficientnet_lite0")


@pytest.fixture(scope="module")
def covers():
    return torch.randn(3, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return CoverRegressor(built(LITE0, 64), n_outputs=2, levels=LITE0.levels).eval()


def test_means_and_deviations_of_each_level_stand_before_the_last_layer(network, covers):
    seen = []
    for name, channels in LITE0.levels.items():
        block = network.backbone.get_submodule(name)
        block.register_forward_hook(lambda module, given, output: seen.append(output))
        assert channels > 0
    with torch.no_grad():
        features, outputs = network(covers)
        expected = [
            part
            for level in seen
            for part in (level.mean(dim=(2, 3)), level.flatten(2).std(dim=2, correction=0))
        ]
        expected.append(network.backbone(covers))
    assert torch.allclose(features, torch.cat(expected, dim=1), atol=1e-6)
    assert features.shape == (3, sum(network.blocks)) == (3, 1280 + 2 * sum(LITE0.levels.values()))
    assert outputs.shape == (3, 2)


def test_without_levels_features_are_the_backbones_own(covers):
    torch.manual_seed(0)
    plain = CoverRegressor(built(LITE0, 64), n_outputs=2).eval()
    with torch.no_grad():
        features, _ = plain(covers)
        plain.balance(features)
        assert torch.equal(plain.features(covers), plain.backbone(covers))


def test_balanced_blocks_are_centred_and_have_length_one_on_average(network, covers):
    with torch.no_grad():
        network.balance(network.features(covers))
        blocks = torch.split(network.features(covers), network.blocks, dim=1)
    for block in blocks:
        assert block.mean(dim=0).abs().max() < 1e-5
        assert block.square().sum(dim=1).mean().item() == pytest.approx(1, rel=1e-3)


def test_checkpointed_activations_change_nothing(network, covers):
    with torch.no_grad():
        plain = network(covers)
    with activations_checkpointed(map(network.backbone.get_submodule, LITE0.checkpointed)):
        again = network(covers)
    for ours, theirs in zip(plain, again, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_checkpoint_keeps_levels_and_their_balance(tmp_path, covers):
    data = TrainingData(examples(tmp_path / "a", 8), examples(tmp_path / "b", 4, seed=1))
    config = changed(backbone="efficientnet_lite0", objective="regression", epochs=1)
    result = train(data, config, execution=on_cpu(tmp_path))
    assert result.manifest.levels == dict(LITE0.levels)
    (tmp_path / "out").mkdir()
    save_checkpoint(tmp_path / "out", result.network, result.manifest)
    again, _ = load_checkpoint(tmp_path / "out")
    with torch.no_grad():
        for ours, theirs in zip(result.network(covers), again(covers), strict=True):
            assert np.array_equal(ours.numpy(), theirs.numpy())
    assert not torch.equal(again.regressor.scale, torch.ones_like(again.regressor.scale))
