import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_pipeline.vision.objectives.contrastive import (
    Contrastive,
    cosine_loss,
    soft_contrastive_loss,
)
from cf_pipeline.vision.objectives.regression import Regression

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


def manual_contrastive(predicted, target, temperature, target_temperature):
    """The definition, number by number."""
    rows = []
    for f, t in zip(predicted, target, strict=True):
        p = softmax([cosine(f, other) / temperature for other in target])
        q = softmax([cosine(t, other) / target_temperature for other in target])
        rows.append(math.fsum(b * math.log(b / a) for a, b in zip(p, q, strict=True)))
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

    @pytest.mark.parametrize("objective", [Contrastive(), Regression()])
    def test_held_out_factors_are_seen_from_the_train_factors(self, objective):
        # A validation project that has the factor of a train project has its target too.
        alone = objective.targets(torch.from_numpy(self.factors[7:8]), self.statistics)
        among = objective.targets(torch.from_numpy(self.factors), self.statistics)
        assert torch.equal(alone[0], among[7])

    def test_a_project_at_the_mean_has_a_finite_target(self):
        targets = Contrastive().targets(self.statistics["mean"][None], self.statistics)
        assert not targets.any()

    @pytest.mark.parametrize("objective", [Contrastive(), Regression()])
    def test_outputs_are_the_predicted_factors(self, objective):
        outputs = vectors(0)
        assert objective.n_outputs(4) == 4
        assert objective.predicted(outputs, self.statistics) is outputs
        assert objective.layers == ("collaborative", "predicted_factors")
