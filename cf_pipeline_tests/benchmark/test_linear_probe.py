"""The linear probe: what it must find, what it may not see, and what it must say."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cf_pipeline.benchmark import linear_probe as module
from cf_pipeline.benchmark.linear_probe import linear_probe
from cf_pipeline.errors import DataError


def world(n: int = 240, d: int = 20, n_classes: int = 4, signal: float = 1.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    features = signal * rng.normal(size=(n_classes, d))[labels] + rng.normal(size=(n, d))
    names = [f"class {label}" for label in labels]
    half = n // 2
    x = features.astype(np.float32)
    return x[:half], names[:half], x[half:], names[half:]


def test_it_finds_what_is_there_and_nothing_else() -> None:
    found = linear_probe(*world(signal=1.0), seed=0)
    assert found.metrics["mean_class_accuracy"] > 0.9
    nothing = linear_probe(*world(signal=0.0), seed=0)
    interval = nothing.intervals()["mean_class_accuracy"]
    assert interval.low < 0.25 < interval.high


def test_result_is_consistent() -> None:
    result = linear_probe(*world(), seed=0)
    assert result.classes == ("class 0", "class 1", "class 2", "class 3")
    assert result.confusion.sum() == len(result.is_correct) == 120
    assert np.trace(result.confusion) == result.is_correct.sum()
    assert result.confusion.sum(axis=1).tolist() == np.bincount(result.labels).tolist()
    assert result.metrics["accuracy"] == result.is_correct.mean()
    assert result.held_out[result.strength] == max(result.held_out.values())
    assert set(result.held_out) == set(module.STRENGTHS)
    intervals = result.intervals()
    for name, value in result.metrics.items():
        assert intervals[name].value == pytest.approx(value)
        assert intervals[name].low <= value <= intervals[name].high


def test_intervals_over_groups_are_wider_than_over_images() -> None:
    result = linear_probe(*world(signal=0.4), seed=0)
    # Groups of images that are all right or all wrong.
    groups = np.where(result.is_correct, np.arange(120) % 5, 5 + np.arange(120) % 5)
    single, grouped = result.intervals(), result.intervals(groups=groups)
    assert grouped["accuracy"].n_groups == 10
    assert single["accuracy"].n_groups == 120
    for name in result.metrics:
        assert grouped[name].high - grouped[name].low > 1.5 * (single[name].high - single[name].low)


@pytest.mark.parametrize("d", [8, 300])
def test_it_is_the_plain_regression_with_fewer_and_with_more_features_than_images(d: int) -> None:
    x, y, x_test, y_test = world(d=d, signal=0.3)
    result = linear_probe(x, y, x_test, y_test, seed=0)
    mean, deviation = x.mean(axis=0, dtype=float), x.std(axis=0, dtype=float)
    plain = LogisticRegression(C=result.strength, tol=1e-7, max_iter=5000)
    plain.fit((x - mean) / deviation, y)
    predicted = plain.predict((x_test - mean) / deviation)
    agreement = (result.is_correct == (predicted == np.array(y_test))).mean()
    assert agreement > 0.99


def test_test_labels_and_features_choose_nothing() -> None:
    x, y, x_test, y_test = world()
    first = linear_probe(x, y, x_test, y_test, seed=0)
    other = linear_probe(x, y, x_test * 5 - 2, y_test[::-1], seed=0)
    assert other.held_out == first.held_out
    assert other.strength == first.strength


def test_c_is_chosen_on_images_that_were_not_fitted() -> None:
    # More features than images: what was fitted is always right, noise that was not is not.
    held_out = linear_probe(*world(d=300, signal=0.0), seed=0).held_out
    assert max(held_out.values()) < 0.6


def test_the_same_seed_gives_the_same_result() -> None:
    first, second = (linear_probe(*world(signal=0.3), seed=5) for _ in range(2))
    assert first.held_out == second.held_out
    assert np.array_equal(first.is_correct, second.is_correct)
    assert linear_probe(*world(signal=0.3), seed=6).held_out != first.held_out


def test_scale_and_shift_of_features_change_nothing() -> None:
    x, y, x_test, y_test = world(signal=0.3)
    scales = np.random.default_rng(1).uniform(0.1, 10, x.shape[1]).astype(np.float32)
    plain = linear_probe(x, y, x_test, y_test, seed=0)
    moved = linear_probe(x * scales + 3, y, x_test * scales + 3, y_test, seed=0)
    assert (moved.is_correct == plain.is_correct).mean() > 0.99


def test_a_constant_feature_is_left_alone() -> None:
    x, y, x_test, y_test = world()
    x, x_test = (np.column_stack([m, np.full(len(m), 0.1, np.float32)]) for m in (x, x_test))
    assert linear_probe(x, y, x_test, y_test, seed=0).metrics["accuracy"] > 0.9


def test_two_classes_work() -> None:
    result = linear_probe(*world(n_classes=2), seed=0)
    assert result.metrics["accuracy"] > 0.9
    assert not any("converge" in note for note in result.notes)


def test_every_class_keeps_images_on_both_sides() -> None:
    labels = np.repeat([0, 1, 2, 3], [1, 2, 5, 40])
    held = module._stratified_part(labels, np.random.default_rng(0))
    assert np.bincount(labels[held], minlength=4).tolist() == [0, 1, 1, 10]


def test_a_class_that_train_lacks_counts_as_wrong_and_is_said() -> None:
    x, y, x_test, y_test = world()
    result = linear_probe(x, y, x_test, ["novelty", *y_test[1:]], seed=0)
    assert result.classes[-1] == "novelty"
    assert not result.is_correct[0]
    assert any("novelty" in note for note in result.notes)


def test_a_fit_that_does_not_converge_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ITERATIONS", 1)
    result = linear_probe(*world(), seed=0)
    assert any("did not converge" in note for note in result.notes)


def test_the_gradient_check_knows_an_optimum() -> None:
    x, y, _, _ = world(signal=0.3)
    index = np.unique(y, return_inverse=True)[1]
    model = LogisticRegression(C=0.1, tol=1e-9, max_iter=5000).fit(x.astype(float), index)
    assert module._largest_gradient(model, x.astype(float), index) < 1e-6
    model.coef_ = model.coef_ + 0.1
    assert module._largest_gradient(model, x.astype(float), index) > 1e-3


def test_inputs_that_do_not_fit_are_refused() -> None:
    x, y, x_test, y_test = world()
    with pytest.raises(DataError, match="120 images, 119 labels"):
        linear_probe(x, y[:-1], x_test, y_test, seed=0)
    with pytest.raises(DataError, match="20 dimensions, test features 19"):
        linear_probe(x, y, x_test[:, :-1], y_test, seed=0)
    with pytest.raises(DataError, match="two classes"):
        linear_probe(x, ["same"] * 120, x_test, y_test, seed=0)
    with pytest.raises(DataError, match="no class has two train images"):
        linear_probe(x[:3], ["a", "b", "c"], x_test, y_test, seed=0)
