"""Methods by name: of this package, and of a stranger's module that lies on the path."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from cf_pipeline.errors import ConfigError
from cf_pipeline.vision.backbones.backbone import Schedule
from cf_pipeline.vision.checkpoint import checkpoint_input, load_checkpoint, save_checkpoint
from cf_pipeline.vision.config import VisionConfig
from cf_pipeline.vision.embedding import embed_covers
from cf_pipeline.vision.examples import TrainingData
from cf_pipeline.vision.training import train
from cf_pipeline_tests.vision.small_world import changed, examples, on_cpu

LAB = """
    import torch
    import torch.nn.functional as F
    from torch import nn
    from cf_pipeline.vision.backbones.backbone import Backbone
    from cf_pipeline.vision.objectives.objective import Objective

    class Margin(Objective):
        margin: float = 0.2

        def targets(self, factors, statistics):
            return F.normalize(factors - statistics["mean"], dim=1)

        def loss(self, outputs, targets):
            similarity = F.normalize(outputs, dim=1) @ targets.T
            return (self.margin + similarity - similarity.diag()[:, None]).clamp(min=0).mean()

    class PseudoClasses(Objective):
        n_classes: int = 3
        layers = ("collaborative",)

        def statistics(self, factors):
            known = super().statistics(factors)
            return {**known, "centroids": torch.tensor(factors[: self.n_classes]) - known["mean"]}

        def n_outputs(self, n_factors):
            return self.n_classes

        def targets(self, factors, statistics):
            return torch.cdist(factors - statistics["mean"], statistics["centroids"]).argmin(dim=1)

        def loss(self, outputs, targets):
            return F.cross_entropy(outputs, targets)

        def predicted(self, outputs, statistics):
            return outputs.softmax(dim=1) @ statistics["centroids"]

    class Tiny(Backbone):
        width: int = 6

        def build(self, image_size):
            return nn.Sequential(nn.Conv2d(3, self.width, 4, 4), nn.ReLU(), nn.Flatten(),
                                 nn.Linear(self.width * (image_size // 4) ** 2, self.width))
"""


@pytest.fixture
def _lab(tmp_path, monkeypatch):
    (tmp_path / "vision_lab.py").write_text(textwrap.dedent(LAB), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("vision_lab", None)


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covers")
    return examples(folder / "train", 64, seed=0), examples(folder / "validation", 16, seed=1)


def trained_and_back(halves, config, folder):
    """What was trained, and the network that its checkpoint gives back."""
    result = train(TrainingData(*halves), config, execution=on_cpu(folder))
    (folder / "checkpoint").mkdir()
    save_checkpoint(folder / "checkpoint", result.network, result.manifest)
    return result, load_checkpoint(folder / "checkpoint")[0]


@pytest.mark.usefixtures("_lab")
class TestOutside:
    def test_an_objective(self, halves, tmp_path):
        config = changed(objective={"name": "vision_lab:Margin", "margin": 0.1})
        result, network = trained_and_back(halves, config, tmp_path)
        assert result.manifest.objective == {"name": "vision_lab:Margin", "margin": 0.1}
        assert result.manifest.validation_cosine > 0.3
        assert network.objective == config.objective

    def test_an_objective_with_outputs_and_a_state_of_its_own(self, halves, tmp_path):
        config = changed(objective="vision_lab:PseudoClasses", epochs=4)
        result, network = trained_and_back(halves, config, tmp_path)
        assert result.network.regressor.head.out_features == 3
        assert result.history[-1]["train_loss"] < result.history[1]["train_loss"]
        assert torch.equal(network.statistics["centroids"], result.network.statistics["centroids"])
        _, factors = embed_covers(
            network, checkpoint_input(result.manifest), halves[1].paths, on_cpu(tmp_path)
        )
        assert factors.shape == (16, 4)
        targets = halves[1].factors - np.array(result.manifest.target_mean, dtype=np.float32)
        cosine = torch.cosine_similarity(torch.tensor(factors), torch.tensor(targets)).mean()
        assert cosine.item() == pytest.approx(result.manifest.validation_cosine, abs=1e-5)

    def test_a_backbone(self, halves, tmp_path):
        config = changed(backbone={"name": "vision_lab:Tiny", "width": 8}, epochs=1)
        assert config.backbone.schedule() == Schedule(224, 3e-4)
        result, network = trained_and_back(halves, config, tmp_path)
        assert result.manifest.n_features == 8
        assert result.manifest.initial_weights == "random"
        assert network.regressor.backbone[0].out_channels == 8

    def test_what_is_no_method_of_its_sort(self):
        with pytest.raises(ConfigError, match="expected a class that derives from"):
            VisionConfig(objective="vision_lab:Tiny")
        with pytest.raises(ConfigError, match="cannot be imported"):
            VisionConfig(backbone="vision_lab:Gone")
        with pytest.raises(ConfigError, match=r"vision_lab:Margin', margin: .* got 'wide'"):
            VisionConfig(objective={"name": "vision_lab:Margin", "margin": "wide"})

    def test_a_configuration_as_json(self):
        config = changed(objective="vision_lab:Margin", backbone="timm:resnet10t")
        assert VisionConfig.model_validate_json(config.model_dump_json()) == config


class TestConfiguration:
    def test_the_backbones_schedule_and_what_overrides_it(self):
        assert VisionConfig().schedule == Schedule(192, 3e-4)
        small = VisionConfig(backbone="resnet_small", image_size=32)
        assert small.schedule == Schedule(32, 3e-3)
        assert VisionConfig(learning_rate=0.5).schedule.learning_rate == 0.5

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"backbone": "efficientnet_lite1"}, "Did you mean 'efficientnet_lite0'"),
            ({"backbone": "resnet18"}, r"timm:<model>, torchvision:<model>"),
            ({"backbone": "keras:resnet18"}, "cannot be imported"),
            ({"backbone": "timm:"}, "there is no backbone 'timm:'"),
            ({"objective": "contrast"}, "Did you mean 'contrastive'"),
            ({"objective": {"temperature": 1}}, "a table with `name`"),
        ],
    )
    def test_names_that_are_none(self, values, message):
        with pytest.raises(ConfigError, match=message):
            VisionConfig(**values)

    def test_settings_out_of_range(self):
        with pytest.raises(ConfigError, match=r"'contrastive', temperature: .*greater than 0"):
            VisionConfig(objective={"name": "contrastive", "temperature": 0})
        with pytest.raises(ConfigError, match=r"'regression', weight: .*not permitted"):
            VisionConfig(objective={"name": "regression", "weight": 1})

    def test_resolving_imports_no_library_of_networks(self):
        script = """
            import sys
            from cf_pipeline.vision.config import VisionConfig
            VisionConfig(backbone="resnet_small", objective="regression")
            VisionConfig(backbone="timm:vit_small_patch14_dinov2").backbone.files()
            VisionConfig(backbone="torchvision:resnet18")
            print({"torch", "timm", "torchvision", "PIL"} & set(sys.modules))
        """
        said = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout == "set()\n"
