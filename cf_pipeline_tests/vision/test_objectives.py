import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_pipeline.vision.objectives.contrastive import Contrastive, soft_contrastive_loss
from cf_pipeline.vision.objectives.cosine import Cosine, cosine_loss
from cf_pipeline.vision.objectives.objective import OBJECTIVES
from cf_pipeline.vision.objectives.pseudo_class import PseudoClass
from cf_pipeline.vision.objectives.regression import Regression
from cf_pipeline.vision.objectives.weighted_sum import WeightedSum

seeds = st.integers(0, 2**32 - 1)
temperatures = st.floats(0.05, 2)


def vectors(seed, n=6, k=4):
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed))


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def cosine(a, b):
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def softmax(values):
    exponentials = [math.exp(v - max(values)) for v in values]
    return [e / math.fsum(exponentials) for e in exponentials]


def manual_row(f, t, targets, temperature, target_temperature):
    p = softmax([cosine(f, other) / temperature for other in targets])
    q = softmax([cosine(t, other) / target_temperature for other in targets])
    return math.fsum(b * math.log(b / a) for a, b in zip(p, q, strict=True))


def manual_contrastive(predicted, target, temperature, target_temperature):
    """The definition, number by number."""
    rows = [
        manual_row(f, t, target, temperature, target_temperature)
        for f, t in zip(predicted, target, strict=True)
    ]
    return math.fsum(rows) / len(rows)


class TestCosine:
    @pytest.mark.parametrize(
        ("predicted", "expected"), [([3.0, 0.0], 0), ([0.0, 0.1], 1), ([-9.0, 0.0], 2)]
    )
    def test_same_orthogonal_and_opposite(self, predicted, expected):
        loss = cosine_loss(torch.tensor([predicted]), torch.tensor([[2.0, 0.0]]))
        assert loss.item() == pytest.approx(expected, abs=1e-6)

    @settings(max_examples=30, deadline=None)
    @given(seeds)
    def test_equals_its_twin(self, seed):
        f, t = vectors(seed), vectors(seed + 1)
        pairs = zip(f.tolist(), t.tolist(), strict=True)
        expected = np.mean([1 - cosine(a, b) for a, b in pairs])
        assert cosine_loss(f, t).item() == pytest.approx(expected, abs=1e-5)


class TestSoftContrastive:
    @settings(max_examples=50, deadline=None)
    @given(seeds, st.integers(1, 8), temperatures, temperatures)
    def test_equals_its_twin_and_is_never_negative(self, seed, n, temperature, of_target):
        f, t = vectors(seed, n), vectors(seed + 1, n)
        loss = soft_contrastive_loss(f, t, temperature, of_target).item()
        expected = manual_contrastive(f.tolist(), t.tolist(), temperature, of_target)
        assert loss == pytest.approx(expected, rel=1e-3, abs=1e-5)
        assert loss >= -1e-5

    @settings(max_examples=30, deadline=None)
    @given(seeds, temperatures)
    def test_a_perfect_prediction_costs_nothing_and_stays(self, seed, temperature):
        target = vectors(seed)
        predicted = (3 * target).requires_grad_()
        loss = soft_contrastive_loss(predicted, target, temperature, temperature)
        assert loss.item() == pytest.approx(0, abs=1e-5)
        loss.backward()
        assert predicted.grad.abs().max() < 1e-4

    @pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
    def test_two_projects_taken_for_each_other(self, temperature):
        # p is q the other way round: KL = (q_1 - q_2) log(q_1 / q_2) = tanh(1 / 2T) / T.
        target = torch.eye(2)
        loss = soft_contrastive_loss(target.flip(0), target, temperature, temperature).item()
        assert loss == pytest.approx(math.tanh(1 / (2 * temperature)) / temperature, rel=1e-4)

    @settings(max_examples=30, deadline=None)
    @given(seeds, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
    def test_lengths_do_not_matter(self, seed, of_prediction, of_target):
        f, t = vectors(seed), vectors(seed + 1)
        scaled = soft_contrastive_loss(of_prediction * f, of_target * t, 0.1, 0.1).item()
        assert scaled == pytest.approx(soft_contrastive_loss(f, t, 0.1, 0.1).item(), rel=1e-3)

    def test_projects_that_share_their_factor_are_not_told_apart(self):
        target = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        # With hard targets the first two rows would cost log 2 each and could cost no less.
        perfect = soft_contrastive_loss(target, target, 0.05, 0.05).item()
        assert perfect == pytest.approx(0, abs=1e-6)
        hard = torch.nn.functional.cross_entropy(target @ target.T / 0.05, torch.arange(3)).item()
        assert hard == pytest.approx(2 / 3 * math.log(2), abs=1e-4)

    def test_the_targets_temperature_says_how_close_is_shared(self):
        target = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.5], [0.0, 1.0]]))
        sharp = soft_contrastive_loss(target, target, 0.5, 0.02).item()
        equal = soft_contrastive_loss(target, target, 0.5, 0.5).item()
        assert equal == pytest.approx(0, abs=1e-6)
        assert sharp > 0.1


class TestLoss:
    def test_the_default_adds_both_terms(self):
        f, t = vectors(0), vectors(1)
        objective = Contrastive(weight=0.7, temperature=0.2, target_temperature=0.3)
        expected = cosine_loss(f, t) + 0.7 * soft_contrastive_loss(f, t, 0.2, 0.3)
        assert objective.loss(f, t).item() == pytest.approx(expected.item())

    def test_weight_zero_leaves_the_cosine(self):
        f, t = vectors(0), vectors(1)
        assert Contrastive(weight=0).loss(f, t).item() == cosine_loss(f, t).item()
        assert Cosine().loss(f, t).item() == cosine_loss(f, t).item()

    def test_projects_drawn_more_often_are_corrected_for(self):
        # One project is in the batch twice because it is twice as likely: its copies lose log 2
        # each, and every row costs what it costs where the project is there once.
        twice = [0, 0, 1, 2, 3, 4, 5]
        f, t = vectors(0), vectors(1)
        log_chances = torch.tensor([math.log(2)] * 2 + [0.0] * 5)
        rows = [manual_row(f[i].tolist(), t[i].tolist(), t.tolist(), 0.3, 0.3) for i in twice]
        found = soft_contrastive_loss(f[twice], t[twice], 0.3, 0.3, log_chances).item()
        assert found == pytest.approx(np.mean(rows), rel=1e-3)
        objective = Contrastive(temperature=0.3, target_temperature=0.3)
        loss = objective.loss_as_drawn(f[twice], t[twice], log_chances).item()
        assert loss == pytest.approx(cosine_loss(f[twice], t[twice]).item() + found, rel=1e-5)
        off = Contrastive(popularity_correction=0)
        assert off.loss_as_drawn(f, t, torch.arange(6.0)).item() == off.loss(f, t).item()

    def test_regression_is_the_talks_squared_error_and_nothing_else(self):
        f, t = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0, -1.0]])
        assert Regression().loss(f, t).item() == (5 + 10) / 2
        # Unlike the default it asks for the length too.
        assert Regression().loss(2 * t, t).item() == pytest.approx(5)
        assert cosine_loss(2 * t[1:], t[1:]).item() == pytest.approx(0, abs=1e-6)


class TestTargets:
    factors = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    statistics = Contrastive().statistics(factors)

    def test_statistics_are_mean_and_root_mean_square_distance(self):
        centred = self.factors - self.factors.mean(axis=0)
        assert self.statistics["mean"].numpy() == pytest.approx(self.factors.mean(axis=0))
        expected = np.sqrt((centred**2).sum(axis=1).mean())
        assert self.statistics["scale"].item() == pytest.approx(expected)

    def test_default_is_direction_from_the_train_mean(self):
        targets = Contrastive().targets(torch.from_numpy(self.factors), self.statistics).numpy()
        assert np.linalg.norm(targets, axis=1) == pytest.approx(1, abs=1e-6)
        for row, factor in zip(targets, self.factors, strict=True):
            away = factor - self.factors.mean(axis=0)
            assert row == pytest.approx(away / np.linalg.norm(away), abs=1e-5)

    def test_regression_keeps_lengths_up_to_one_number(self):
        targets = Regression(length=1).targets(torch.from_numpy(self.factors), self.statistics)
        targets = targets.numpy()
        assert np.sqrt((targets**2).sum(axis=1).mean()) == pytest.approx(1, abs=1e-5)
        apart = np.linalg.norm(targets[0] - targets[1])
        before = np.linalg.norm(self.factors[0] - self.factors[1])
        assert apart * self.statistics["scale"].item() == pytest.approx(before, rel=1e-4)

    @pytest.mark.parametrize("length", [0, 0.5, 1])
    def test_regression_evens_lengths_out_and_keeps_directions(self, length):
        factors = torch.from_numpy(self.factors)
        whole = Regression(length=1).targets(factors, self.statistics).numpy()
        targets = Regression(length=length).targets(factors, self.statistics).numpy()
        lengths = np.linalg.norm(whole, axis=1)
        assert np.linalg.norm(targets, axis=1) == pytest.approx(lengths**length, rel=1e-5)
        assert (targets * whole).sum(axis=1) == pytest.approx(lengths ** (1 + length), rel=1e-5)

    @pytest.mark.parametrize("objective", [Contrastive(), Cosine(), Regression()])
    def test_held_out_factors_are_seen_from_the_train_factors(self, objective):
        # A validation project that has the factor of a train project has its target too.
        alone = objective.targets(torch.from_numpy(self.factors[7:8]), self.statistics)
        among = objective.targets(torch.from_numpy(self.factors), self.statistics)
        assert torch.equal(alone[0], among[7])

    def test_a_project_at_the_mean_has_a_finite_target(self):
        targets = Contrastive().targets(self.statistics["mean"][None], self.statistics)
        assert not targets.any()

    @pytest.mark.parametrize("objective", [Contrastive(), Cosine(), Regression()])
    def test_outputs_are_the_predicted_factors(self, objective):
        outputs = vectors(0)
        assert objective.n_outputs(4) == 4
        assert objective.predicted(outputs, self.statistics) is outputs
        assert objective.layers == ("collaborative", "predicted_factors")


class TestPseudoClass:
    """Five far corners, each with a few projects around it."""

    corners = np.eye(5, 6, dtype=np.float32) * 8
    sizes = (30, 10, 5, 3, 2)
    classes = np.repeat(np.arange(5), sizes)
    factors = corners[classes] + np.random.default_rng(0).normal(0, 0.1, (50, 6)).astype(np.float32)
    objective = PseudoClass(n_classes=5)
    statistics = objective.statistics(factors)

    def targets(self):
        return self.objective.targets(torch.from_numpy(self.factors), self.statistics)

    def test_clusters_are_found_and_held_out_factors_go_to_the_nearest(self):
        targets = self.targets()
        pairs = set(zip(self.classes.tolist(), targets.tolist(), strict=True))
        assert len(pairs) == 5 == len(set(targets.tolist()))
        other = self.objective.targets(torch.from_numpy(3 * self.corners), self.statistics)
        assert {(c, int(other[c])) for c in range(5)} == pairs

    def test_the_same_seed_gives_the_same_centres(self):
        again = self.objective.statistics(self.factors)
        assert torch.equal(again["centroids"], self.statistics["centroids"])

    @pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
    def test_small_classes_are_drawn_more(self, balance):
        targets = self.targets()
        chances = PseudoClass(n_classes=5, balance=balance).draws(targets)
        by_class = [float(chances[self.classes == c].sum()) for c in range(5)]
        expected = np.array(self.sizes, dtype=float) ** (1 - balance)
        assert np.array(by_class) / by_class[0] == pytest.approx(expected / expected[0])

    def test_the_loss_is_cross_entropy_and_certainty_predicts_the_centre(self):
        targets = self.targets()
        sure = 50.0 * torch.nn.functional.one_hot(targets, 5)
        assert self.objective.loss(sure, targets).item() == pytest.approx(0, abs=1e-6)
        assert self.objective.loss(torch.zeros(50, 5), targets).item() == pytest.approx(math.log(5))
        predicted = self.objective.predicted(sure, self.statistics)
        assert torch.allclose(predicted, self.statistics["centroids"][targets], atol=1e-5)

    def test_a_ridge_is_asked_for_scores_whose_mean_is_the_chance_of_a_class(self):
        asked = self.objective.head_targets(self.targets())
        # Nothing known: the shares of the classes, to first order of the softmax.
        chances = (1 + asked.mean(dim=0)) / 5
        assert sorted(chances.tolist()) == pytest.approx(sorted(n / 50 for n in self.sizes))

    def test_fewer_places_than_classes_are_so_many_classes(self, caplog):
        few = PseudoClass(n_classes=9)
        statistics = few.statistics(np.repeat(self.corners, 4, axis=0))
        assert statistics["centroids"].shape == (5, 6)
        assert "5 different factors" in caplog.text
        assert few.predicted(torch.zeros(2, 9), statistics).shape == (2, 6)


class TestWeightedSum:
    factors = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    terms = (Regression(), PseudoClass(n_classes=3), Cosine())
    objective = WeightedSum(terms=terms, weights=(2.0, 0.5, 3.0))
    statistics = objective.statistics(factors)

    def test_it_is_the_sum_of_its_terms_on_shared_factors(self):
        given = torch.from_numpy(self.factors)
        outputs = vectors(0, n=40, k=self.objective.n_outputs(4))
        assert outputs.shape == (40, 4 + 3)
        targets = self.objective.targets(given, self.statistics)
        parts = []
        for term, columns in zip(self.terms, (slice(0, 4), slice(4, 7), slice(0, 4)), strict=True):
            own = term.targets(given, term.statistics(self.factors))
            parts.append(term.loss(outputs[:, columns], own).item())
        expected = 2 * parts[0] + 0.5 * parts[1] + 3 * parts[2]
        assert self.objective.loss(outputs, targets).item() == pytest.approx(expected, rel=1e-5)
        assert torch.equal(self.objective.predicted(outputs, self.statistics), outputs[:, :4])
        classes = self.terms[1].targets(given, self.terms[1].statistics(self.factors))
        assert torch.equal(self.objective.draws(targets), self.terms[1].draws(classes))
        asked = self.objective.head_targets(targets)
        assert asked.shape == (40, 7)
        assert torch.equal(asked[:, 4:], self.terms[1].head_targets(classes))

    def test_it_is_chosen_by_name_and_comes_back_from_json(self):
        table = {"name": "weighted_sum", "terms": ["cosine", {"name": "pseudo_class"}]}
        objective = OBJECTIVES.choose(table)
        assert [term.name for term in objective.terms] == ["cosine", "pseudo_class"]
        assert OBJECTIVES.choose(objective.model_dump(mode="json")) == objective

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"weights": (1.0,)}, "a weight of 0 or more for each of 2 terms"),
            ({"weights": (1.0, -1.0)}, "a weight of 0 or more"),
            ({"terms": (WeightedSum(), Cosine())}, "no sums themselves"),
        ],
    )
    def test_what_is_no_sum(self, values, message):
        with pytest.raises(ValueError, match=message):
            WeightedSum(**values)
