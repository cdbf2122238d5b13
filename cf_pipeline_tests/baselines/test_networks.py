"""Features of networks that were not trained here: on ImageNet's labels, or on nothing."""

import numpy as np
import pytest
import torch
import torchvision

from cf_pipeline.baselines.config import BaselinesConfig
from cf_pipeline.baselines.imagenet import imagenet_features
from cf_pipeline.baselines.simple import color_histograms
from cf_pipeline.baselines.untrained import simple_features
from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.backbones import LITE0_SHA256, normalize, pretrained_backbone
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.covers import fit_cover, open_cover
from cf_pipeline_tests.vision.pictures import drawing, saved
from cf_pipeline_tests.vision.small_world import on_cpu


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covers")
    return [saved(drawing(seed, proportions=1.5), folder / f"{seed}.png") for seed in range(6)]


def cosines(features):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return unit @ unit.T


class TestImageNet:
    def test_the_packaged_network_untouched(self, paths, tmp_path):
        config = BaselinesConfig(imagenet_image_size=64, imagenet_fit="pad")
        extractor = imagenet_features(config, on_cpu(tmp_path))
        assert (extractor.name, extractor.n_dimensions) == ("imagenet", 1280)
        assert extractor.weights_sha256 == LITE0_SHA256
        seen = []
        features = extractor.extract(paths, lambda done, total, _: seen.append((done, total)))
        assert (features.shape, features.dtype) == ((6, 1280), np.float32)
        assert seen == [(6, 6)]
        backbone, _ = pretrained_backbone()
        cover = torch.tensor(fit_cover(open_cover(paths[2]), 64, "pad"))[None]
        with torch.inference_mode():
            expected = backbone.eval()(normalize(cover, extractor.architecture))
        assert features[2] == pytest.approx(expected[0].numpy(), abs=1e-4)

    def test_a_picture_is_nearest_to_itself_made_smaller(self, paths, tmp_path):
        smaller = [
            saved(drawing(seed, side=80, proportions=1.5), tmp_path / f"{seed}.png")
            for seed in range(6)
        ]
        extractor = imagenet_features(BaselinesConfig(imagenet_image_size=64), on_cpu(tmp_path))
        across = cosines(extractor.extract([*paths, *smaller]))[:6, 6:]
        assert across.argmax(axis=1).tolist() == list(range(6))

    def test_a_model_with_a_local_weight_file(self, paths, tmp_path):
        torch.manual_seed(0)
        whole = torchvision.models.mobilenet_v3_small(weights=None)
        torch.save(whole.state_dict(), tmp_path / "own.pth")
        config = BaselinesConfig(
            imagenet_model="torchvision:mobilenet_v3_small",
            imagenet_weights=str(tmp_path / "own.pth"),
            imagenet_image_size=32,
        )
        extractor = imagenet_features(config, on_cpu(tmp_path))
        assert extractor.extract(paths).shape == (6, extractor.n_dimensions) == (6, 1024)

    def test_a_model_without_its_weights(self, tmp_path):
        config = BaselinesConfig(imagenet_model="torchvision:mobilenet_v3_small")
        with pytest.raises(ConfigError, match=r"needs a local weight file, got None"):
            imagenet_features(config, on_cpu(tmp_path))


class TestUntrained:
    vision = VisionConfig(image_size=64)

    def extractors(self, tmp_path, vision=vision, **values):
        found = simple_features(BaselinesConfig(**values), vision, on_cpu(tmp_path))
        return {extractor.name: extractor for extractor in found}

    @pytest.mark.parametrize(("init", "n"), [("pretrained", 1280), ("scratch", 256)])
    def test_random_weights_tell_covers_apart(self, paths, tmp_path, init, n):
        vision = VisionConfig(init=init, image_size=64)
        random = self.extractors(tmp_path, vision)["random"]
        features = random.extract(paths)
        assert features.shape == (6, random.n_dimensions) == (6, n)
        # Activations neither die nor explode, and no two covers come out the same.
        assert np.isfinite(features).all()
        assert 1e-3 < np.abs(features).mean() < 1e3
        centred = features - features.mean(axis=0)
        assert np.linalg.norm(centred, axis=1).min() > 1e-3 * np.linalg.norm(features, axis=1).max()

    @pytest.mark.parametrize("init", ["pretrained", "scratch"])
    def test_every_layer_has_a_usable_scale(self, tmp_path, init):
        vision = VisionConfig(init=init, image_size=64)
        network = self.extractors(tmp_path, vision)["random"].network
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
            self.extractors(tmp_path, seed=seed)["random"].extract(paths) for seed in (0, 0, 1)
        )
        assert np.array_equal(first, again)
        assert not np.allclose(first, other)

    def test_it_owes_nothing_to_imagenet(self, tmp_path):
        network = self.extractors(tmp_path)["random"].network
        trained, _ = pretrained_backbone()
        mine, theirs = network.state_dict(), trained.state_dict()
        assert mine.keys() == theirs.keys()
        shared = [
            name for name in mine if mine[name].ndim == 4 and torch.equal(mine[name], theirs[name])
        ]
        assert shared == []

    def test_color_is_the_histogram(self, paths, tmp_path):
        color = self.extractors(tmp_path, color_bins=3)["color"]
        assert color.n_dimensions == 27
        assert np.array_equal(color.extract(paths), color_histograms(paths, 3))
