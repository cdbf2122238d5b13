import copy
import itertools
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F

from cf_pipeline.errors import DataError
from cf_pipeline.vision.batches import TrainBatches
from cf_pipeline.vision.checkpoint import WEIGHTS, checkpoint_input, save_checkpoint
from cf_pipeline.vision.covers import open_cover
from cf_pipeline.vision.embedding import embed_covers
from cf_pipeline.vision.examples import Examples, TrainingData
from cf_pipeline.vision.geometry import Shape, fit_cover, square
from cf_pipeline.vision.loop import Loop
from cf_pipeline.vision.relevance import Relevances
from cf_pipeline.vision.starting import initial_network
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
    return train(TrainingData(*halves), SCRATCH, execution=execution, listeners=listeners), heard


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
        nonsense = train(
            TrainingData(shuffled(halves[0]), halves[1]), SCRATCH, execution=on_cpu(tmp_path)
        )
        assert abs(nonsense.manifest.validation_cosine) < 0.35
        losses = [figures["train_loss"] for figures in result.history[1:]]
        assert losses[-1] < losses[0] / 5

    def test_regression_learns_too_and_its_loss_is_in_units_of_the_train_factors(
        self, halves, tmp_path
    ):
        config = changed(objective={"name": "regression", "length": 1.0})
        result = train(TrainingData(*halves), config, execution=on_cpu(tmp_path))
        assert result.manifest.objective == {"name": "regression", "length": 1.0}
        assert result.manifest.validation_cosine > 0.7
        first, last = result.history[0], result.history[-1]
        assert last["validation_loss"] < first["validation_loss"] / 2
        assert (len(result.manifest.target_mean), result.manifest.n_factors) == (4, 4)

        # Ten times as long validation factors are ten times as far away, not as far as before.
        longer = Examples(halves[1].paths, 10 * halves[1].factors)
        data = TrainingData(halves[0], longer)
        far = train(data, config.model_copy(update={"epochs": 1}), execution=on_cpu(tmp_path))
        assert far.history[0]["validation_loss"] > 20 * first["validation_loss"]

    @pytest.mark.parametrize("objective", ["contrastive", "regression"])
    def test_from_imagenet_weights(self, halves, tmp_path, objective):
        config = changed(backbone="efficientnet_lite0", objective=objective, epochs=1)
        result = train(TrainingData(*few(halves)), config, execution=on_cpu(tmp_path))
        assert result.manifest.backbone == {"name": "efficientnet_lite0", "weights": None}
        assert result.manifest.n_features == 1280 + 2 * sum(result.manifest.levels.values())
        assert len(result.manifest.initial_weights) == 64
        assert len(result.history) == 2

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
            "popularity_correction": 1.0,
        }
        assert (manifest.n_features, manifest.shape) == (256, (32, 32))
        assert (manifest.n_train, manifest.n_validation) == (96, 32)
        assert manifest.target_mean == pytest.approx(halves[0].factors.mean(axis=0).tolist())


class TestRepeatability:
    def test_same_seed_same_bytes_another_seed_others(self, halves, tmp_path):
        written = [
            checkpoint_bytes(
                train(
                    TrainingData(*halves), changed(epochs=2, seed=seed), execution=on_cpu(tmp_path)
                ),
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
            result = train(TrainingData(*few(halves)), config, execution=on_cpu(tmp_path))
            networks.append(result.network.state_dict())
        assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])


class TestRates:
    @pytest.mark.parametrize(
        ("values", "head", "share"),
        [
            ({"backbone": "resnet_small"}, 3e-3, 1.0),
            ({"backbone": "efficientnet_lite0", "learning_rate": 0.01}, 0.01, 0.3),
            ({"backbone": {"name": "efficientnet_lite0", "weights": "random"}}, 3e-4, 1.0),
        ],
    )
    def test_what_has_learned_already_may_move_more_slowly(
        self, halves, tmp_path, values, head, share
    ):
        loop = self.loop(halves, tmp_path, backbone_learning_rate_share=0.3, **values)
        peaks = [group["initial_lr"] for group in loop.descent.optimizer.param_groups]
        assert peaks == pytest.approx([head * share] * 2 + [head] * 2)

    def test_norms_and_biases_do_not_decay(self, halves, tmp_path):
        loop = self.loop(halves, tmp_path, weight_decay=0.7)
        for group in loop.descent.optimizer.param_groups:
            dimensions = {p.ndim > 1 for p in group["params"]}
            assert dimensions == {group["weight_decay"] == 0.7}
        n = sum(p.numel() for group in loop.descent.optimizer.param_groups for p in group["params"])
        assert n == sum(p.numel() for p in loop.network.parameters())

    def test_first_stages_and_statistics_of_batches_stay_as_they_were_learned(
        self, halves, tmp_path
    ):
        loop = self.loop(halves, tmp_path, backbone="efficientnet_lite0", objective="regression")
        started = copy.deepcopy(loop.network.backbone.state_dict())
        loop.epoch(1)
        ended = loop.network.backbone.state_dict()
        same = {n for n, v in ended.items() if torch.equal(v, started[n])}
        assert {"conv_stem.weight", "blocks.1.0.conv_pw.weight", "bn2.running_mean"} <= same
        assert not {"blocks.2.0.conv_pw.weight", "conv_head.weight", "bn2.weight"} & same

    def loop(self, halves, tmp_path, **values):
        config = changed(**{"learning_rate": None, "epochs": 1, **values})
        network, _, _ = initial_network(config, 4, None)
        targets = torch.zeros(4, 4)
        given = few(halves, 4)[0]
        batches = TrainBatches(given, config, square(32), targets, on_cpu(tmp_path))
        return Loop(network, config, batches, torch.device("cpu"), Listeners())


class TestWhatIsKept:
    """The end of the descent or the ridge before it, as validation ranks them."""

    def relevances(self, half, factors):
        """Who is near in given factors is relevant, for every validation cover."""
        ids = [f"{row:02}" for row in range(len(half.paths))]
        directions = F.normalize(torch.from_numpy(factors - factors.mean(axis=0)), dim=1)
        cosines = (directions @ directions.T).clamp(min=0).numpy()
        pairs = [
            {"query_id": ids[a], "candidate_id": ids[b], "relevance": float(cosines[a, b])}
            for a, b in itertools.permutations(range(len(ids)), 2)
        ]
        return Relevances.of(pl.DataFrame(pairs), ids)

    def test_the_end_where_it_ranks_better_and_the_ridge_where_not(self, halves, tmp_path):
        good = TrainingData(*halves, self.relevances(halves[1], halves[1].factors))
        learned = train(good, SCRATCH, execution=on_cpu(tmp_path))
        assert learned.manifest.chosen_by == "validation_ndcg"
        assert learned.manifest.best_epoch == 8
        ends = [learned.history[epoch]["validation_ndcg"] for epoch in (0, 8)]
        assert ends[0] < ends[1] == learned.manifest.validation_ndcg
        assert learned.manifest.share_of_end == 1.0

        # ImageNet's weights, with a rate that destroys them.
        config = changed(backbone="efficientnet_lite0", learning_rate=0.03, epochs=1)
        kept = train(replace(good, train=few(halves, 64)[0]), config, execution=on_cpu(tmp_path))
        assert kept.manifest.best_epoch == 0
        assert kept.history[0]["validation_ndcg"] > kept.history[1]["validation_ndcg"]
        assert kept.manifest.validation_ndcg == kept.history[0]["validation_ndcg"]
        # What is kept is the ridge: the network says what epoch 0 said.
        _, factors = predicted(kept.network, kept.manifest, halves[1].paths, tmp_path)
        assert good.relevances.ndcg(factors) == pytest.approx(
            kept.manifest.validation_ndcg, abs=1e-3
        )

    def test_the_loss_chooses_where_nobody_is_queried(self, halves, tmp_path):
        ids = [f"{row:02}" for row in range(len(halves[1].paths))]
        pair = {"query_id": [ids[0]], "candidate_id": [ids[1]], "relevance": [0.0]}
        for relevances in (None, Relevances.of(pl.DataFrame(pair), ids)):
            data = TrainingData(*halves, relevances)
            result = train(data, changed(epochs=1), execution=on_cpu(tmp_path))
            assert result.manifest.chosen_by == "validation_loss"
            assert result.manifest.validation_ndcg is None
            losses = [figures["validation_loss"] for figures in result.history]
            assert losses[result.manifest.best_epoch] == min(losses)

    def test_the_head_starts_from_a_stronger_ridge_than_the_best(self, halves, tmp_path):
        given = TrainingData(*few(halves, 32))
        config = changed(
            backbone="efficientnet_lite0", objective="regression", epochs=1, learning_rate=1e-9
        )
        weak, strong = (
            train(given, config.model_copy(update={"head_strength": times}),
                  execution=on_cpu(tmp_path))
            for times in (1.0, 1e6)
        )  # fmt: skip
        # With no rate to speak of, epoch 1 is the start.
        losses = [[figures["validation_loss"] for figures in r.history] for r in (weak, strong)]
        assert losses[0][1] == pytest.approx(losses[0][0], rel=1e-3)
        assert losses[1][1] > losses[1][0] == losses[0][0]
        assert strong.manifest.best_epoch == 0
        assert weak.manifest.head_strength == strong.manifest.head_strength

    def test_covers_have_the_shape_that_was_asked_for(self, halves, tmp_path):
        data = TrainingData(*few(halves), shape=Shape(48, 32))
        result = train(data, changed(epochs=1), execution=on_cpu(tmp_path))
        assert result.manifest.shape == (48, 32)
        assert checkpoint_input(result.manifest).shape == Shape(48, 32)


class TestEpochs:
    @pytest.mark.parametrize("epochs", range(1, 7))
    def test_any_number_of_steps_has_a_schedule(self, halves, tmp_path, epochs):
        # Four steps once had a warm-up of no length.
        result = train(
            TrainingData(*few(halves)), changed(epochs=epochs), execution=on_cpu(tmp_path)
        )
        rates = [figures["learning_rate"] for figures in result.history[1:]]
        assert len(rates) == epochs
        assert all(0 <= rate <= SCRATCH.schedule.learning_rate for rate in rates)
        assert rates[-1] == pytest.approx(0)

    def test_listeners_hear_every_batch_and_epoch(self, trained):
        result, heard = trained
        epochs, batches = heard["epochs"], heard["batches"]
        assert [epoch for epoch, _ in epochs] == list(range(9))
        assert [figures for _, figures in epochs] == list(result.history)
        assert epochs[0][1].keys() == {"validation_loss", "validation_cosine"}
        assert epochs[1][1].keys() >= {"train_loss", "validation_loss", "learning_rate"}
        # 96 covers are three batches of 32.
        assert [done for done, _, _ in batches] == list(range(32, 8 * 96 + 1, 32))
        assert {total for _, total, _ in batches} == {8 * 96}
        assert [figures["epoch"] for _, _, figures in batches][::3] == list(range(1, 9))
        mean = np.mean([figures["loss"] for _, _, figures in batches[:3]])
        assert epochs[1][1]["train_loss"] == pytest.approx(mean)

    def test_progress_ends_at_its_total_where_covers_are_fewer_than_a_batch(self, halves, tmp_path):
        steps = []
        listeners = Listeners(on_batch=lambda done, total, _: steps.append((done, total)))
        train(
            TrainingData(*few(halves)),
            changed(epochs=2),
            execution=on_cpu(tmp_path),
            listeners=listeners,
        )
        assert steps == [(8, 16), (16, 16)]


class TestBatches:
    def batches(self, given, tmp_path, **values):
        config = changed(**values)
        return TrainBatches(given, config, square(32), torch.arange(96), on_cpu(tmp_path))

    def test_an_epoch_shows_every_cover_once_but_the_short_last_batch(self, halves, tmp_path):
        batches = self.batches(halves[0], tmp_path, batch_size=20)
        rows = batches.epoch()
        assert [len(r) for r in rows] == [20] * 4
        assert len(set(torch.cat(rows).tolist())) == 80
        assert [r.tolist() for r in batches.epoch()] != [r.tolist() for r in rows]

    def test_covers_are_the_files_larger_where_views_are_cut_of_them(self, halves, tmp_path):
        for augment, size in ((False, 32), (True, 39)):
            batches = self.batches(halves[0], tmp_path, augment=augment)
            covers, targets, _ = batches.batch(torch.tensor([5, 2]))
            assert (covers.shape, covers.dtype) == ((2, size, size, 3), torch.uint8)
            plain = fit_cover(open_cover(halves[0].paths[5]), square(size), "whole")
            assert np.array_equal(covers[0].numpy(), plain)
            assert targets.tolist() == [5, 2]


class TestWeights:
    """How much a project counts: by its degree, and by how many share its place."""

    def given(self, halves, degrees=None):
        factors = halves[0].factors[:12].copy()
        factors[4:] = factors[4]
        return Examples(halves[0].paths[:12], factors, degrees)

    def test_projects_that_share_a_factor_count_less_each(self, halves):
        weights = self.given(halves).weights(changed(crowd_weight=0.5))
        assert weights[4:] == pytest.approx(weights[0] / 8**0.5)
        assert weights.mean() == pytest.approx(1)
        assert halves[0].weights(changed(crowd_weight=0.5)) is None

    def test_degrees_count_to_a_power(self, halves):
        degrees = np.arange(1.0, 13.0)
        weights = self.given(halves, degrees).weights(changed(degree_weight=-0.5, crowd_weight=0))
        assert weights / weights[0] == pytest.approx(degrees**-0.5)
        assert self.given(halves, degrees).weights(changed(crowd_weight=0)) is None

    def test_rows_are_drawn_by_them_and_by_the_objective(self, halves, tmp_path):
        config = changed(
            objective={"name": "pseudo_class", "n_classes": 2}, crowd_weight=1.0, batch_size=2
        )
        given = self.given(halves)
        classes = torch.tensor([0, 1, 1, 1] + [1] * 8)
        batches = TrainBatches(given, config, square(32), classes, on_cpu(tmp_path))
        # A class is as likely as the other; within one, a crowd is as likely as one project.
        expected = np.array([1 / 1, *[1 / 11] * 3, *[1 / 11 / 8] * 8])
        expected /= expected.sum()
        rows = torch.cat([torch.cat(batches.epoch()) for _ in range(2000)])
        found = np.bincount(rows.numpy(), minlength=12) / len(rows)
        assert found == pytest.approx(expected, abs=0.01)
        log_chances = batches.batch(torch.arange(12))[2].exp().numpy()
        assert log_chances / log_chances.sum() == pytest.approx(expected, rel=1e-4)


class TestNoTraining:
    def test_no_epochs_leave_the_best_ridge(self, halves, tmp_path):
        config = changed(backbone="efficientnet_lite0", objective="regression", epochs=0)
        data = TrainingData(*few(halves, 32))
        result = train(data, config, execution=on_cpu(tmp_path))
        assert (result.manifest.best_epoch, result.manifest.share_of_end) == (0, 0.0)
        assert len(result.history) == 1
        _, factors = predicted(result.network, result.manifest, data.validation.paths, tmp_path)
        targets = torch.tensor(data.validation.factors) - torch.tensor(result.manifest.target_mean)
        cosine = F.cosine_similarity(torch.from_numpy(factors), targets).mean().item()
        assert cosine == pytest.approx(result.manifest.validation_cosine, abs=1e-4)

    def test_mixed_precision_learns_as_well(self, halves, tmp_path):
        result = train(
            TrainingData(*halves), changed(precision="mixed"), execution=on_cpu(tmp_path)
        )
        assert result.manifest.validation_cosine > 0.8


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
                TrainingData(train_set, validation_set)
        result = train(TrainingData(enough, one), changed(epochs=1), execution=on_cpu(tmp_path))
        assert result.manifest.n_train == 2

    def test_a_loss_that_diverges(self, halves, tmp_path):
        config = changed(objective="regression", learning_rate=1e30)
        with pytest.raises(
            DataError, match=r"training loss became .*vision\.learning_rate \(1e\+30"
        ):
            train(TrainingData(*halves), config, execution=on_cpu(tmp_path))

    def test_weights_that_diverge_in_the_last_step(self, halves, tmp_path):
        config = changed(objective="regression", learning_rate=1e36, epochs=1)
        with pytest.raises(DataError, match=r"predicts NaN or infinity .*vision\.learning_rate"):
            train(TrainingData(*few(halves)), config, execution=on_cpu(tmp_path))

    def test_a_cover_that_went_away(self, halves, tmp_path):
        gone = replace(halves[0], paths=(tmp_path / "gone.png", *halves[0].paths[1:]))
        with pytest.raises(DataError, match=r"gone\.png"):
            train(TrainingData(gone, halves[1]), SCRATCH, execution=on_cpu(tmp_path))
