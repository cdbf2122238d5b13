import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cf_pipeline.errors import DataError
from cf_pipeline.vision.batches import Examples, TrainBatches
from cf_pipeline.vision.checkpoint import WEIGHTS, checkpoint_input, save_checkpoint
from cf_pipeline.vision.covers import fit_cover, open_cover
from cf_pipeline.vision.embedding import embed_covers
from cf_pipeline.vision.training import Listeners, train
from cf_pipeline_tests.vision.small_world import SCRATCH, changed, examples, on_cpu, shuffled


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covers")
    return examples(folder / "train", 96, seed=0), examples(folder / "validation", 32, seed=1)


@pytest.fixture(scope="module")
def trained(halves, tmp_path_factory):
    """One training with everything its listeners heard."""
    torch.set_num_threads(1)
    heard = {"batches": [], "epochs": []}
    listeners = Listeners(
        on_batch=lambda *step: heard["batches"].append(step),
        on_epoch=lambda *epoch: heard["epochs"].append(epoch),
    )
    execution = on_cpu(tmp_path_factory.mktemp("scratch"))
    return train(*halves, SCRATCH, execution=execution, listeners=listeners), heard


def few(halves, n=8):
    """The first covers of both halves."""
    return tuple(Examples(half.paths[:n], half.factors[:n]) for half in halves)


def predicted(network, manifest, paths, folder):
    features, factors = embed_covers(network, checkpoint_input(manifest), paths, on_cpu(folder))
    return features, factors


def checkpoint_bytes(result, folder):
    folder.mkdir()
    save_checkpoint(folder, result.network, result.manifest)
    return (folder / WEIGHTS).read_bytes()


class TestLearning:
    def test_it_learns_where_covers_lie_and_nothing_from_shuffled_factors(
        self, halves, trained, tmp_path
    ):
        result, _ = trained
        assert result.manifest.validation_cosine > 0.85
        nonsense = train(shuffled(halves[0]), halves[1], SCRATCH, execution=on_cpu(tmp_path))
        assert abs(nonsense.manifest.validation_cosine) < 0.35
        losses = [figures["train_loss"] for figures in result.history]
        assert losses[-1] < losses[0] / 5

    def test_regression_learns_too_and_its_loss_is_in_units_of_the_train_factors(
        self, halves, tmp_path
    ):
        config = changed(objective="regression")
        result = train(*halves, config, execution=on_cpu(tmp_path))
        assert result.manifest.objective == {"name": "regression"}
        assert result.manifest.validation_cosine > 0.7
        first, last = result.history[0], result.history[-1]
        assert last["validation_loss"] < first["validation_loss"] / 2
        assert (len(result.manifest.target_mean), result.manifest.n_factors) == (4, 4)

        # Ten times as long validation factors are ten times as far away, not as far as before.
        longer = Examples(halves[1].paths, 10 * halves[1].factors)
        far = train(halves[0], longer, changed(objective="regression", epochs=1),
                    execution=on_cpu(tmp_path))  # fmt: skip
        assert far.history[0]["validation_loss"] > 20 * first["validation_loss"]

    @pytest.mark.parametrize("objective", ["contrastive", "regression"])
    def test_from_imagenet_weights(self, halves, tmp_path, objective):
        config = changed(backbone="efficientnet_lite0", objective=objective, epochs=1)
        result = train(*few(halves), config, execution=on_cpu(tmp_path))
        assert result.manifest.backbone == {"name": "efficientnet_lite0", "weights": None}
        assert result.manifest.n_features == 1280
        assert len(result.manifest.initial_weights) == 64
        assert len(result.history) == 1

    def test_the_manifest_says_what_was_done(self, halves, trained):
        manifest = trained[0].manifest
        assert manifest.configuration == SCRATCH.model_dump(mode="json")
        assert manifest.initial_weights == "random"
        assert manifest.backbone == {"name": "resnet_small", "weights": None}
        assert manifest.objective == {
            "name": "contrastive",
            "weight": 1.0,
            "temperature": 0.1,
            "target_temperature": 0.1,
        }
        assert (manifest.n_features, manifest.image_size) == (256, 32)
        assert (manifest.n_train, manifest.n_validation) == (96, 32)
        assert manifest.target_mean == pytest.approx(halves[0].factors.mean(axis=0).tolist())


class TestRepeatability:
    def test_same_seed_same_bytes_another_seed_others(self, halves, tmp_path):
        written = [
            checkpoint_bytes(
                train(*halves, changed(epochs=2, seed=seed), execution=on_cpu(tmp_path)),
                tmp_path / str(run),
            )
            for run, seed in enumerate([0, 0, 1])
        ]
        assert written[0] == written[1] != written[2]

    def test_what_was_drawn_before_does_not_matter(self, halves, tmp_path):
        config = changed(epochs=1)
        networks = []
        for _ in range(2):
            torch.rand(7)
            result = train(*few(halves), config, execution=on_cpu(tmp_path))
            networks.append(result.network.state_dict())
        assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])


class TestRates:
    """One-cycle's peak: the schedule of the backbone, slower for what has learned already."""

    @pytest.mark.parametrize(
        ("values", "head", "share"),
        [
            ({"backbone": "resnet_small"}, 3e-3, 1.0),
            ({"backbone": "efficientnet_lite0"}, 1e-3, 0.3),
            ({"backbone": {"name": "efficientnet_lite0", "weights": "random"}}, 1e-3, 1.0),
            ({"backbone": "efficientnet_lite0", "learning_rate": 0.01}, 0.01, 0.3),
        ],
    )
    def test_the_backbones_share(self, halves, tmp_path, monkeypatch, values, head, share):
        peaks = []
        one_cycle = torch.optim.lr_scheduler.OneCycleLR

        def watched(optimizer, max_lr, **rest):
            peaks.extend(max_lr)
            return one_cycle(optimizer, max_lr=max_lr, **rest)

        monkeypatch.setattr(torch.optim.lr_scheduler, "OneCycleLR", watched)
        config = changed(**{"learning_rate": None, "epochs": 1, **values})
        train(*few(halves, 4), config, execution=on_cpu(tmp_path))
        assert peaks == pytest.approx([head * share, head])


class TestEpochs:
    def test_the_best_epoch_is_restored(self, halves, tmp_path):
        nonsense = shuffled(halves[0])
        result = train(nonsense, halves[1], changed(seed=3), execution=on_cpu(tmp_path))
        cosines = [figures["validation_cosine"] for figures in result.history]
        best = int(np.argmax(cosines)) + 1
        assert 1 < best < len(cosines), "choose a seed whose best epoch is not at an end"
        assert result.manifest.best_epoch == best
        assert result.manifest.validation_cosine == max(cosines)
        _, factors = predicted(result.network, result.manifest, halves[1].paths, tmp_path)
        targets = halves[1].factors - nonsense.factors.mean(axis=0)
        cosine = F.cosine_similarity(torch.from_numpy(factors), torch.from_numpy(targets)).mean()
        assert cosine.item() == pytest.approx(max(cosines), abs=1e-5)

    @pytest.mark.parametrize("patience", [1, 3])
    def test_patience_stops(self, halves, tmp_path, patience):
        config = changed(epochs=40, patience=patience, learning_rate=1e-4)
        nonsense, held_out = few((shuffled(halves[0]), halves[1]), 32)
        result = train(nonsense, held_out, config, execution=on_cpu(tmp_path))
        assert len(result.history) == result.manifest.best_epoch + patience < 40

    @pytest.mark.parametrize("epochs", range(1, 7))
    def test_any_number_of_steps_has_a_schedule(self, halves, tmp_path, epochs):
        # Four steps once had a warm-up of no length.
        result = train(*few(halves), changed(epochs=epochs), execution=on_cpu(tmp_path))
        rates = [figures["learning_rate"] for figures in result.history]
        assert len(rates) == epochs
        assert all(0 <= rate <= SCRATCH.schedule.learning_rate for rate in rates)
        assert rates[-1] < SCRATCH.schedule.learning_rate

    def test_listeners_hear_every_batch_and_epoch(self, trained):
        result, heard = trained
        epochs, batches = heard["epochs"], heard["batches"]
        assert [epoch for epoch, _ in epochs] == list(range(1, 9))
        assert [figures for _, figures in epochs] == list(result.history)
        assert epochs[0][1].keys() >= {"train_loss", "validation_loss", "learning_rate"}
        # 96 covers are three batches of 32.
        assert [done for done, _, _ in batches] == list(range(32, 8 * 96 + 1, 32))
        assert {total for _, total, _ in batches} == {8 * 96}
        assert [figures["epoch"] for _, _, figures in batches][::3] == list(range(1, 9))
        mean = np.mean([figures["loss"] for _, _, figures in batches[:3]])
        assert epochs[0][1]["train_loss"] == pytest.approx(mean)

    def test_progress_ends_at_its_total_where_covers_are_fewer_than_a_batch(self, halves, tmp_path):
        steps = []
        listeners = Listeners(on_batch=lambda done, total, _: steps.append((done, total)))
        train(*few(halves), changed(epochs=2), execution=on_cpu(tmp_path), listeners=listeners)
        assert steps == [(8, 16), (16, 16)]


class TestBatches:
    def batches(self, given, tmp_path, **values):
        config, generator = changed(**values), torch.Generator().manual_seed(0)
        statistics = config.objective.statistics(given.factors)
        return TrainBatches(given, config, statistics, on_cpu(tmp_path), generator)

    def test_an_epoch_shows_every_cover_once_but_the_short_last_batch(self, halves, tmp_path):
        batches = self.batches(halves[0], tmp_path, batch_size=20)
        rows = batches.epoch()
        assert [len(r) for r in rows] == [20] * 4
        assert len(set(torch.cat(rows).tolist())) == 80
        assert [r.tolist() for r in batches.epoch()] != [r.tolist() for r in rows]

    def test_plain_covers_are_the_files(self, halves, tmp_path):
        batches = self.batches(halves[0], tmp_path, augment=False)
        covers, targets = batches.batch(torch.tensor([5, 2]))
        assert (covers.shape, covers.dtype) == ((2, 32, 32, 3), torch.uint8)
        plain = fit_cover(open_cover(halves[0].paths[5]), 32, "crop")
        assert np.array_equal(covers[0].numpy(), plain)
        assert torch.equal(targets, batches.targets[[5, 2]])

    def test_augmented_covers_are_crops_and_mirrored_crops_of_the_same_cover(
        self, halves, tmp_path
    ):
        batches = self.batches(halves[0], tmp_path)
        large = fit_cover(open_cover(halves[0].paths[5]), 36, "crop")
        crops = {}
        for y, x, mirrored in itertools.product(range(5), range(5), (False, True)):
            crop = large[y : y + 32, x : x + 32]
            crops[(crop[:, ::-1] if mirrored else crop).tobytes()] = (y, x, mirrored)
        covers, targets = batches.batch(torch.full((300,), 5))
        seen = {crops[cover.numpy().tobytes()] for cover in covers}
        # A disc in the middle of flat ground looks the same mirrored; places still vary.
        assert len(seen) == len(crops)
        assert torch.equal(targets, batches.targets[[5] * 300])


class TestErrors:
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_factor_that_is_not_finite(self, halves, value):
        factors = halves[0].factors.copy()
        factors[3, 1] = value
        with pytest.raises(DataError, match="1 of 96 factors hold NaN or infinity"):
            Examples(halves[0].paths, factors)

    def test_other_numbers_of_covers_and_factors(self, halves):
        with pytest.raises(DataError, match="one factor per cover: 95 covers"):
            replace(halves[0], paths=halves[0].paths[1:])

    def test_too_few_examples(self, halves, tmp_path):
        enough, one, none = few(halves, 2)[0], few(halves, 1)[0], few(halves, 0)[0]
        for train_set, validation_set in [(one, enough), (none, enough), (enough, none)]:
            with pytest.raises(DataError, match="at least 2 train covers and 1 validation cover"):
                train(train_set, validation_set, SCRATCH, execution=on_cpu(tmp_path))
        result = train(enough, one, changed(epochs=1), execution=on_cpu(tmp_path))
        assert result.manifest.n_train == 2

    def test_a_loss_that_diverges(self, halves, tmp_path):
        config = changed(objective="regression", learning_rate=1e30)
        with pytest.raises(
            DataError, match=r"training loss became .*vision\.learning_rate \(1e\+30"
        ):
            train(*halves, config, execution=on_cpu(tmp_path))

    def test_weights_that_diverge_in_the_last_step(self, halves, tmp_path):
        config = changed(objective="regression", learning_rate=1e36, epochs=1)
        with pytest.raises(DataError, match=r"predicts NaN or infinity .*vision\.learning_rate"):
            train(*few(halves), config, execution=on_cpu(tmp_path))

    def test_a_cover_that_went_away(self, halves, tmp_path):
        gone = replace(halves[0], paths=(tmp_path / "gone.png", *halves[0].paths[1:]))
        with pytest.raises(DataError, match=r"gone\.png"):
            train(gone, halves[1], SCRATCH, execution=on_cpu(tmp_path))
