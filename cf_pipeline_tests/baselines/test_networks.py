"""Features of networks that were not trained here: on ImageNet's labels, or on nothing."""

import sys
import textwrap

import numpy as np
import pytest
import timm
import torch
import torchvision
from pydantic import ValidationError

from cf_pipeline.baselines.config import BaselinesConfig
from cf_pipeline.baselines.imagenet import ImageNet
from cf_pipeline.baselines.untrained import Random
from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.covers import open_cover
from cf_pipeline.vision.geometry import fit_cover, square
from cf_pipeline.vision.networks import initialized, normalize
from cf_pipeline_tests.vision.pictures import drawing, saved
from cf_pipeline_tests.vision.small_world import on_cpu
from cf_pipeline_tests.vision.weights import saved_weights

BACKBONES = ["efficientnet_lite0", "resnet_small"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covers")
    return [saved(drawing(seed, proportions=1.5), folder / f"{seed}.png") for seed in range(6)]


def cosines(features):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return unit @ unit.T


class TestImageNet:
    def test_the_packaged_network_untouched(self, paths, tmp_path):
        feature_set = ImageNet(image_size=64, fit="pad")
        seen = []
        features = feature_set.extract(
            paths, on_cpu(tmp_path), lambda done, total, _: seen.append((done, total))
        )
        assert (features.shape, features.dtype) == ((6, 1280), np.float32)
        assert seen == [(6, 6)]
        backbone, _ = initialized(feature_set.backbone, 64)
        cover = torch.tensor(fit_cover(open_cover(paths[2]), square(64), "pad"))[None]
        with torch.inference_mode():
            expected = backbone.eval()(normalize(cover, feature_set.backbone.normalization()))
        assert features[2] == pytest.approx(expected[0].numpy(), abs=1e-4)

    def test_a_picture_is_nearest_to_itself_made_smaller(self, paths, tmp_path):
        smaller = [
            saved(drawing(seed, side=80, proportions=1.5), tmp_path / f"{seed}.png")
            for seed in range(6)
        ]
        features = ImageNet(image_size=64).extract([*paths, *smaller], on_cpu(tmp_path))
        across = cosines(features)[:6, 6:]
        assert across.argmax(axis=1).tolist() == list(range(6))

    @pytest.mark.parametrize("library", ["torchvision", "timm"])
    def test_a_model_with_a_local_weight_file(self, paths, tmp_path, library):
        torch.manual_seed(0)
        if library == "timm":
            model, whole, n = "test_vit", timm.create_model("test_vit"), 64
        else:
            model, n = "mobilenet_v3_small", 1024
            whole = torchvision.models.get_model(model, weights=None)
        path = saved_weights(whole.state_dict(), tmp_path / "own.pth")
        backbone = {"name": f"{library}:{model}", "weights": str(path)}
        config = BaselinesConfig(imagenet={"backbone": backbone, "image_size": 32})
        assert config.imagenet.extract(paths, on_cpu(tmp_path)).shape == (6, n)

    def test_a_model_without_its_weights(self, paths, tmp_path):
        feature_set = ImageNet(backbone="torchvision:mobilenet_v3_small")
        with pytest.raises(ConfigError, match=r"needs a local weight file, got none"):
            feature_set.extract(paths, on_cpu(tmp_path))


def untrained(backbone="efficientnet_lite0", seed=0, image_size=64):
    return Random(seed=seed).shaped_as(VisionConfig(backbone=backbone, image_size=image_size))


class TestUntrained:
    def test_it_has_the_shape_and_input_of_the_trained_network(self):
        found = Random(seed=7).shaped_as(VisionConfig(backbone="resnet_small", fit="squash"))
        assert (found.name, found.seed, found.fit) == ("random", 7, "squash")
        assert (found.backbone.name, found.image_size) == ("resnet_small", 80)

    @pytest.mark.parametrize(
        ("backbone", "n"),
        [
            ("efficientnet_lite0", 1280),
            ("resnet_small", 256),
            ("timm:test_vit", 64),
            ("timm:test_coatnet", 128),  # batch statistics, and positions of one size
        ],
    )
    def test_random_weights_tell_covers_apart(self, paths, tmp_path, backbone, n):
        found = untrained({"name": backbone, "weights": "random"}, image_size=96)
        features = found.extract(paths, on_cpu(tmp_path))
        assert features.shape == (6, n)
        # Activations neither die nor explode, and no two covers come out the same.
        assert np.isfinite(features).all()
        assert 1e-3 < np.abs(features).mean() < 1e3
        centred = features - features.mean(axis=0)
        assert np.linalg.norm(centred, axis=1).min() > 1e-3 * np.linalg.norm(features, axis=1).max()

    @pytest.mark.parametrize("backbone", BACKBONES)
    def test_every_layer_has_a_usable_scale(self, backbone):
        network = untrained(backbone).network()
        scales = []

        def watch(layer, given, output):
            values = torch.nn.functional.batch_norm(
                given[0], layer.running_mean, layer.running_var, eps=layer.eps
            )
            scales.append(values.std().item())

        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.register_forward_hook(watch)
        noise = torch.randn(16, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            network(noise)
        assert len(scales) > 10
        assert 0.5 < min(scales) <= max(scales) < 2

    def test_the_seed_draws_the_network(self, paths, tmp_path):
        first, again, other = (
            untrained(seed=seed).extract(paths, on_cpu(tmp_path)) for seed in (0, 0, 1)
        )
        assert np.array_equal(first, again)
        assert not np.allclose(first, other)

    def test_it_owes_nothing_to_imagenet(self):
        network = untrained().network()
        trained, _ = initialized(ImageNet().backbone, 64)
        mine, theirs = network.state_dict(), trained.state_dict()
        assert mine.keys() == theirs.keys()
        shared = [
            name for name in mine if mine[name].ndim == 4 and torch.equal(mine[name], theirs[name])
        ]
        assert shared == []

    def test_without_a_network_there_is_nothing_to_extract(self, paths, tmp_path):
        with pytest.raises(ConfigError, match="shape of the trained network"):
            Random().extract(paths, on_cpu(tmp_path))


class TestFurtherSets:
    LAB = """
        import numpy as np
        from cf_pipeline.baselines.feature_set import FeatureSet
        from cf_pipeline.baselines.imagenet import ImageNet
        from cf_pipeline.vision.covers import open_cover

        class Moments(FeatureSet):
            power: float = 1.0

            def extract(self, paths, execution, progress=None):
                means = [np.asarray(open_cover(path)).mean(axis=(0, 1)) for path in paths]
                return np.array(means, dtype=np.float32) ** self.power

        class Second(ImageNet):
            pass
    """

    @pytest.fixture(autouse=True)
    def _lab(self, tmp_path, monkeypatch):
        (tmp_path / "feature_lab.py").write_text(textwrap.dedent(self.LAB), encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        yield
        sys.modules.pop("feature_lab", None)

    def test_one_from_outside(self, paths, tmp_path):
        config = BaselinesConfig(
            extra=({"name": "feature_lab:Moments", "power": 2}, "feature_lab:Second")
        )
        moments, second = config.extra
        assert (moments.name, moments.power) == ("feature_lab:Moments", 2)
        assert second.image_size == 192
        assert moments.extract(paths, on_cpu(tmp_path)).shape == (6, 3)
        assert BaselinesConfig.model_validate_json(config.model_dump_json()) == config

    @pytest.mark.parametrize(
        ("extra", "twice"),
        [
            (["color"], "color"),
            (["feature_lab:Moments", {"name": "feature_lab:Moments", "power": 2}], "Moments"),
        ],
    )
    def test_two_of_one_name(self, extra, twice):
        with pytest.raises(ValidationError, match=rf"different names, .*{twice} comes twice"):
            BaselinesConfig(extra=extra)

    def test_what_is_no_feature_set(self):
        with pytest.raises(ConfigError, match=r"there is no feature set 'hog'\. Expected one of"):
            BaselinesConfig(extra=["hog"])
        with pytest.raises(ConfigError, match="expected a class that derives from"):
            BaselinesConfig(extra=["cf_pipeline.vision.config:VisionConfig"])
