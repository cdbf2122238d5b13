"""Files are read without running code, and loaded whole into the network that they are of."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch
import torchvision

from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.backbones.efficientnet_lite0 import EfficientNetLite0
from cf_pipeline.vision.backbones.residual_network import SmallResNet
from cf_pipeline.vision.networks import initialized, load_renamed, read_weights
from cf_pipeline_tests.vision.weights import saved_weights


class TestReadingWeights:
    @pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
    @pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 torn"])
    def test_garbage(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=rf"{name} cannot be read as weights.*safetensors"):
            read_weights(tmp_path / name)

    def test_a_truncated_file(self, tmp_path):
        path = saved_weights(SmallResNet().state_dict(), tmp_path / "whole.pth")
        (tmp_path / "torn.pth").write_bytes(path.read_bytes()[:100_000])
        with pytest.raises(ConfigError, match=r"torn\.pth cannot be read"):
            read_weights(tmp_path / "torn.pth")

    @pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(3)])
    def test_what_is_no_state_dict(self, tmp_path, content):
        torch.save(content, tmp_path / "a.pth")
        with pytest.raises(ConfigError, match="holds no state dict"):
            read_weights(tmp_path / "a.pth")

    def test_a_state_dict_inside_a_training_checkpoint(self, tmp_path):
        state = {"weight": torch.ones(2)}
        found = read_weights(saved_weights({"epoch": 3, "state_dict": state}, tmp_path / "a.pth"))
        assert torch.equal(found["weight"], state["weight"])

    def test_code_in_a_pickle_does_not_run(self, tmp_path):
        class Attack:
            def __reduce__(self):
                return shutil.copyfile, (str(tmp_path / "a.pth"), str(tmp_path / "ran"))

        (tmp_path / "a.pth").write_bytes(pickle.dumps(Attack()))
        with pytest.raises(ConfigError, match="cannot be read as weights"):
            read_weights(tmp_path / "a.pth")
        assert not (tmp_path / "ran").exists()


class TestRenaming:
    path = Path("weights.pth")

    def test_by_name_the_order_does_not_matter(self):
        torch.manual_seed(0)
        state, network = SmallResNet().state_dict(), SmallResNet()
        load_renamed(network, dict(reversed(state.items())), self.path)
        assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())

    def test_other_names_in_the_same_order(self):
        torch.manual_seed(0)
        state, network = SmallResNet().state_dict(), SmallResNet()
        other = {f"module.{i}": value for i, value in enumerate(state.values())}
        other |= {"module.fc.weight": torch.zeros(10, 256), "module.fc.bias": torch.zeros(10)}
        load_renamed(network, other, self.path)
        assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())

    def test_another_shape_is_named_and_nothing_is_loaded(self):
        network = SmallResNet()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        state = SmallResNet().state_dict()
        state["stem.0.weight"] = torch.zeros(32, 1, 3, 3)
        message = r"1 of 72 tensors.*stem\.0\.weight \(expected \(32, 3, 3, 3\), found \(32, 1"
        with pytest.raises(ConfigError, match=message):
            load_renamed(network, state, self.path)
        assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())

    def test_too_few_tensors(self):
        state = dict(list(SmallResNet().state_dict().items())[:-1])
        with pytest.raises(ConfigError, match=r"1 of 72 tensors differ.*found nothing"):
            load_renamed(SmallResNet(), state, self.path)
        with pytest.raises(ConfigError, match="found nothing"):
            load_renamed(SmallResNet(), {}, self.path)

    def test_the_weights_of_another_network(self, tmp_path):
        path = saved_weights(SmallResNet().state_dict(), tmp_path / "small.pth")
        with pytest.raises(ConfigError, match=r"small\.pth does not fit the network"):
            initialized(EfficientNetLite0(weights=str(path)), 64)

    def test_a_deeper_network_of_the_same_family_is_refused(self):
        # ResNet-34 has every tensor of ResNet-18, in the same shapes, and more.
        with torch.device("meta"):
            deeper = torchvision.models.resnet34().state_dict()
            network = torchvision.models.resnet18()
        assert network.state_dict().keys() <= deeper.keys()
        with pytest.raises(ConfigError, match=r"larger network: 122 .*96 are left.*layer1\.2"):
            load_renamed(network, deeper, self.path)

    def test_files_from_before_torch_counted_batches(self):
        torch.manual_seed(0)
        state, network = SmallResNet().state_dict(), SmallResNet()
        old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
        assert len(old) < len(state)
        for given in (old, {f"x.{k}": v for k, v in old.items()}):
            network = SmallResNet()
            load_renamed(network, given, self.path)
            assert all(torch.equal(network.state_dict()[k], v) for k, v in old.items())
