"""Continuing from an earlier checkpoint, and beginning anew where it does not fit."""

import pytest
import torch

from cf_pipeline.vision.checkpoint import load_checkpoint, save_checkpoint
from cf_pipeline.vision.examples import Examples
from cf_pipeline.vision.training import Start, Trained, TrainingData, train
from cf_pipeline_tests.vision.small_world import SCRATCH, changed, examples, on_cpu

ONCE = changed(epochs=1, learning_rate=3e-4)


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covers")
    return examples(folder / "train", 96, seed=0), examples(folder / "validation", 32, seed=1)


@pytest.fixture(scope="module")
def start(halves, tmp_path_factory):
    """A checkpoint as it was published."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("checkpoint")
    result = train(
        TrainingData(*halves), SCRATCH, execution=on_cpu(tmp_path_factory.mktemp("scratch"))
    )
    save_checkpoint(folder, result.network, result.manifest)
    return Start(*load_checkpoint(folder), "abc123")


def same_weights(a: Trained, b: Trained) -> bool:
    ours, theirs = a.network.state_dict(), b.network.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


class TestWarm:
    def test_an_epoch_from_there_is_worth_more_than_one_from_nothing(self, halves, start, tmp_path):
        before = {name: value.clone() for name, value in start.network.state_dict().items()}
        warm = train(TrainingData(*halves), ONCE, execution=on_cpu(tmp_path), start=start)
        cold = train(TrainingData(*halves), ONCE, execution=on_cpu(tmp_path))
        assert warm.history[1]["train_loss"] < cold.history[1]["train_loss"] / 2
        assert warm.history[1]["validation_loss"] < cold.history[1]["validation_loss"]
        cosines = [result.history[1]["validation_cosine"] for result in (warm, cold)]
        assert cosines[0] > cosines[1] + 0.1
        assert (warm.manifest.started_from, cold.manifest.started_from) == ("abc123", None)
        assert warm.manifest.initial_weights == "random"
        # It did learn, and not into the network that it was handed.
        after = start.network.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert not same_weights(warm, Trained(start.network, start.manifest, ()))

    def test_targets_are_of_the_current_train_factors(self, halves, start, tmp_path):
        moved = [Examples(half.paths, half.factors + 2) for half in halves]
        warm = train(TrainingData(*moved), ONCE, execution=on_cpu(tmp_path), start=start)
        expected = moved[0].factors.mean(axis=0).tolist()
        assert warm.manifest.target_mean == pytest.approx(expected)

    def test_size_and_fit_of_covers_may_differ(self, halves, start, tmp_path):
        config = changed(epochs=1, image_size=24, fit="pad")
        warm = train(TrainingData(*halves), config, execution=on_cpu(tmp_path), start=start)
        assert warm.manifest.started_from == "abc123"
        assert (warm.manifest.shape, warm.manifest.fit) == ((24, 24), "pad")

    def test_the_same_start_gives_the_same_weights(self, halves, start, tmp_path):
        first, second = (
            train(TrainingData(*halves), ONCE, execution=on_cpu(tmp_path), start=start)
            for _ in range(2)
        )
        assert same_weights(first, second)


class TestMismatch:
    def few(self, halves, n_factors=4):
        return tuple(Examples(half.paths[:8], half.factors[:8, :n_factors]) for half in halves)

    def test_another_number_of_factors_is_announced_and_cold(self, halves, start, tmp_path, caplog):
        given = self.few(halves, 3)
        result = train(TrainingData(*given), ONCE, execution=on_cpu(tmp_path), start=start)
        assert result.manifest.started_from is None
        assert "checkpoint abc123 has n_factors 4 instead of 3: training starts" in caplog.text
        assert same_weights(result, train(TrainingData(*given), ONCE, execution=on_cpu(tmp_path)))

    def test_another_backbone_is_announced_and_cold(self, halves, start, tmp_path, caplog):
        config = changed(epochs=1, backbone="efficientnet_lite0")
        result = train(
            TrainingData(*self.few(halves)), config, execution=on_cpu(tmp_path), start=start
        )
        assert result.manifest.started_from is None
        assert result.manifest.backbone["name"] == "efficientnet_lite0"
        assert "backbone resnet_small instead of efficientnet_lite0" in caplog.text
        assert "vision.backbone = efficientnet_lite0" in caplog.text

    def test_another_objective_is_announced_and_cold(self, halves, start, tmp_path, caplog):
        config = changed(epochs=1, objective="regression")
        result = train(
            TrainingData(*self.few(halves)), config, execution=on_cpu(tmp_path), start=start
        )
        assert result.manifest.started_from is None
        assert "objective contrastive instead of regression" in caplog.text

    def test_settings_and_weights_that_shape_nothing_may_differ(self, halves, start, tmp_path):
        config = changed(
            epochs=1,
            objective={"name": "contrastive", "temperature": 0.2},
            backbone={"name": "resnet_small", "weights": "random"},
        )
        result = train(
            TrainingData(*self.few(halves)), config, execution=on_cpu(tmp_path), start=start
        )
        assert result.manifest.started_from == "abc123"

    def test_a_transformer_at_another_size_is_announced_and_cold(self, halves, tmp_path, caplog):
        config = changed(epochs=1, backbone={"name": "timm:test_vit", "weights": "random"})
        given = self.few(halves)
        first = train(TrainingData(*given), config, execution=on_cpu(tmp_path))
        start = Start(first.network, first.manifest, "abc123")
        larger = config.model_copy(update={"image_size": 48})
        assert train(
            TrainingData(*given), config, execution=on_cpu(tmp_path), start=start
        ).manifest.started_from
        result = train(TrainingData(*given), larger, execution=on_cpu(tmp_path), start=start)
        assert result.manifest.started_from is None
        assert "tensors of other shapes, by covers of 32 x 32" in caplog.text
