"""The linear probe: what it must find, what it may not see, and what it must say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from cf_pipeline.benchmark import linear_probe as module
from cf_pipeline.benchmark import logistic, workers
from cf_pipeline.benchmark.linear_probe import Labelled, ProbeResult, linear_probe
from cf_pipeline.benchmark.probe_metrics import measured, paired
from cf_pipeline.errors import DataError
from cf_pipeline.metrics.ranking import Floats
from cf_pipeline.vectors import Matrix


def side(features: Matrix, labels: Sequence[str | tuple[str, ...]], start: int = 0) -> Labelled:
    ids = [f"image {start + n}" for n in range(len(features))]
    return Labelled(ids, features, [(of,) if isinstance(of, str) else of for of in labels])


def world(
    n: int = 240, d: int = 20, n_classes: int = 4, signal: float = 1.0, seed: int = 0
) -> tuple[Labelled, Labelled]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    features = signal * rng.normal(size=(n_classes, d))[labels] + rng.normal(size=(n, d))
    names = [f"class {label}" for label in labels]
    half, x = n // 2, features.astype(np.float32)
    return side(x[:half], names[:half]), side(x[half:], names[half:], half)


def changed(of: Labelled, scale: float | Floats = 1.0, shift: float = 0.0) -> Labelled:
    return Labelled(of.image_ids, (of.features * scale + shift).astype(np.float32), of.labels)


def metrics(result: ProbeResult, groups: Floats | None = None) -> dict[str, float]:
    given = np.arange(len(result.image_ids)) if groups is None else groups
    return {k: m.interval.value for k, m in measured(result, given, 200, 0).items()}


def test_it_finds_what_is_there_and_nothing_else() -> None:
    found = linear_probe(*world(signal=1.5), seed=0)
    assert metrics(found)["mean_class_accuracy"] > 0.97
    nothing = linear_probe(*world(signal=0.0), seed=0)
    interval = measured(nothing, np.arange(120), 500, 0)["mean_class_accuracy"].interval
    assert interval.low <= 0.25 <= interval.high


def test_a_separable_task_is_told_apart_and_shuffled_labels_are_chance() -> None:
    train, test = world(n=800, d=30, signal=6.0)
    found = metrics(linear_probe(train, test, seed=0))
    assert found == dict.fromkeys(found, pytest.approx(1.0))
    rng = np.random.default_rng(1)
    shuffled = [
        Labelled(of.image_ids, of.features, rng.permutation(of.labels).tolist())
        for of in (train, test)
    ]
    for name, each in measured(linear_probe(*shuffled, seed=0), np.arange(400), 500, 0).items():
        if name in ("map", "balanced_map"):  # small classes lift it, and duplicates its interval
            assert each.interval.value == pytest.approx(0.25, abs=0.06)
        else:
            assert each.interval.low <= 0.25 <= each.interval.high, name


def test_result_is_consistent() -> None:
    result = linear_probe(*world(), seed=0)
    assert result.classes == ("class 0", "class 1", "class 2", "class 3")
    assert not result.multi_label
    assert result.confusion.sum() == len(result.image_ids) == 120
    assert np.trace(result.confusion) == (result.predictions == result.labels).sum()
    assert result.held_out[result.strength] == max(result.held_out.values())
    assert set(result.held_out) >= set(module.STRENGTHS)
    for name, each in measured(result, np.arange(120), 500, 0).items():
        assert each.interval.low <= each.interval.value <= each.interval.high, name
    assert metrics(result)["accuracy"] == (result.predictions == result.labels).mean()


def test_intervals_over_groups_are_wider_than_over_images() -> None:
    result = linear_probe(*world(signal=0.4), seed=0)
    is_correct = result.predictions == result.labels
    # Groups of images that are all right or all wrong.
    groups = np.where(is_correct, np.arange(120) % 5, 5 + np.arange(120) % 5)
    single = measured(result, np.arange(120), 500, 0)
    grouped = measured(result, groups, 500, 0)
    assert grouped["accuracy"].interval.n_groups == 10
    for name in ("accuracy", "mean_class_accuracy"):
        a, b = grouped[name].interval, single[name].interval
        assert a.high - a.low > 1.5 * (b.high - b.low)


def test_differences_are_paired() -> None:
    train, test = world(signal=0.4)
    groups = np.arange(120)
    ours = measured(linear_probe(train, test, seed=0), groups, 500, 0)
    same = measured(linear_probe(changed(train, 3.0), changed(test, 3.0), seed=0), groups, 500, 0)
    for name, each in ours.items():
        apart = paired([each], [same[name]])
        width = each.interval.high - each.interval.low
        assert abs(apart.value) < 0.02
        assert apart.high - apart.low < 0.4 * width


@pytest.mark.parametrize("d", [8, 300])
def test_it_is_the_plain_regression_with_fewer_and_with_more_features_than_images(d: int) -> None:
    train, test = world(d=d, signal=0.3)
    result = linear_probe(train, test, seed=0)
    mean, deviation = (f(train.features, axis=0, dtype=float) for f in (np.mean, np.std))
    x, x_test = ((of.features - mean) / deviation for of in (train, test))
    plain = LogisticRegression(C=result.strength, tol=1e-9, max_iter=20_000)
    plain.fit(x, [of[0] for of in train.labels])
    ours = np.array(result.classes)[result.predictions]
    assert (ours == plain.predict(x_test)).mean() > 0.98
    scores = plain.decision_function(x_test)
    centred = [s - s.mean(axis=1, keepdims=True) for s in (scores, result.scores)]
    assert np.abs(centred[0] - centred[1]).max() < 0.02 * centred[0].std()


def test_any_number_of_labels_are_told_apart_one_by_one() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 12)).astype(np.float32)
    is_a, is_b = x[:, 0] > 0.5, x[:, 1] > 1
    labels = [("a",) * int(a) + ("b",) * int(b) for a, b in zip(is_a, is_b, strict=True)]
    result = linear_probe(side(x[:400], labels[:400]), side(x[400:], labels[400:], 400), seed=0)
    assert result.multi_label
    found = metrics(result)
    assert set(found) == {"map", "balanced_map"}
    assert found["map"] > 0.95
    # An image with both labels has both as its best.
    both = is_a[400:] & is_b[400:]
    assert result.scores[both].min() > np.median(result.scores)
    plain = LogisticRegression(C=result.strength, tol=1e-8, max_iter=5000)
    standard = (x - x[:400].mean(axis=0)) / x[:400].std(axis=0)
    plain.fit(standard[:400], is_b[:400])
    expected = plain.decision_function(standard[400:])
    assert np.abs(expected - result.scores[:, 1]).max() < 0.05


def test_neighbours_are_those_of_scikit_learn() -> None:
    train, test = world(n=800, signal=0.5)
    found = linear_probe(train, test, seed=0).neighbours
    mean = train.features.mean(axis=0)
    plain = KNeighborsClassifier(module.NEIGHBOURS, metric="cosine")
    plain.fit(train.features - mean, [of[0] for of in train.labels])
    votes = plain.predict_proba(test.features - mean)
    # Where one class has more votes than any other, nearness decides nothing.
    clear = np.sort(votes, axis=1)[:, -1] > np.sort(votes, axis=1)[:, -2] + 0.11
    assert clear.mean() > 0.4
    assert (votes.argmax(axis=1) == found)[clear].all()


def test_test_labels_and_features_choose_nothing() -> None:
    train, test = world()
    first = linear_probe(train, test, seed=0)
    other = Labelled(test.image_ids, test.features * 5 - 2, test.labels[::-1])
    second = linear_probe(train, other, seed=0)
    assert (second.held_out, second.strength) == (first.held_out, first.strength)


def test_c_is_chosen_on_images_that_were_not_fitted() -> None:
    # More features than images: what was fitted is always right, noise that was not is not.
    held_out = linear_probe(*world(d=300, signal=0.0), seed=0).held_out
    assert max(held_out.values()) < 0.6


def test_the_same_seed_gives_the_same_result() -> None:
    first, second = (linear_probe(*world(signal=0.3), seed=5) for _ in range(2))
    assert first.held_out == second.held_out
    assert np.array_equal(first.scores, second.scores)
    assert linear_probe(*world(signal=0.3), seed=6).held_out != first.held_out


def test_how_many_threads_there_are_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "BLOCK", 70)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(linear_probe(*world(n=1200, d=200, signal=0.2), seed=0))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0].held_out == found[1].held_out
    assert np.array_equal(found[0].scores, found[1].scores)


def test_scale_and_shift_of_features_change_nothing() -> None:
    train, test = world(signal=0.3)
    scales = np.random.default_rng(1).uniform(0.1, 10, train.features.shape[1])
    plain = linear_probe(train, test, seed=0)
    moved = linear_probe(changed(train, scales, 3), changed(test, scales, 3), seed=0)
    assert (moved.predictions == plain.predictions).mean() > 0.99


def test_a_constant_feature_is_left_alone() -> None:
    sides = [
        Labelled(
            of.image_ids,
            np.column_stack([of.features, np.full(len(of.features), 0.1, np.float32)]),
            of.labels,
        )
        for of in world(signal=1.5)
    ]
    assert metrics(linear_probe(*sides, seed=0))["accuracy"] > 0.9


def test_where_the_best_is_at_an_end_the_grid_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRENGTHS", (1e-6, 1e-5, 1e-4))
    monkeypatch.setattr(module, "WEAKER", (1e-3, 1e-2, 1e-1, 1.0, 10.0))
    result = linear_probe(*world(signal=0.8), seed=0)
    assert set(result.held_out) == {*module.STRENGTHS, *module.WEAKER}
    assert result.strength in module.WEAKER[:-1]
    assert result.notes == ()
    monkeypatch.setattr(module, "WEAKER", (1e-3,))
    assert "at the edge of the grid" in linear_probe(*world(signal=0.8), seed=0).notes[0]


def test_every_class_keeps_images_on_both_sides() -> None:
    names = np.repeat(["a", "b", "c", "d"], [1, 2, 5, 40]).tolist()
    train = side(np.zeros((48, 2), dtype=np.float32), names)
    y = module._positives(train.labels, ("a", "b", "c", "d"))
    held = module._held(train, y, multi_label=False, seed=0)
    assert y[held].sum(axis=0).tolist() == [0, 1, 1, 10]


def test_a_class_that_train_lacks_counts_as_wrong_and_is_said() -> None:
    train, test = world(signal=1.5)
    novel = Labelled(test.image_ids, test.features, [("novelty",), *test.labels[1:]])
    result = linear_probe(train, novel, seed=0)
    assert result.classes[-1] == "novelty"
    assert result.predictions[0] != result.labels[0]
    assert (result.scores[:, -1] < result.scores[:, :-1].min()).all()
    assert any("novelty" in note for note in result.notes)


def test_a_fit_that_does_not_converge_is_said(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(logistic, "MOST", dict.fromkeys(logistic.MOST, 1))
    result = linear_probe(*world(), seed=0)
    assert any("did not converge" in note for note in result.notes)


def test_inputs_that_do_not_fit_are_refused() -> None:
    train, test = world()
    with pytest.raises(DataError, match="120 images, 119 of labels"):
        linear_probe(Labelled(train.image_ids, train.features, train.labels[:-1]), test, seed=0)
    with pytest.raises(DataError, match="20 dimensions, test features 19"):
        linear_probe(train, side(test.features[:, :-1], ["class 1"] * 120), seed=0)
    with pytest.raises(DataError, match="two classes"):
        linear_probe(side(train.features, ["same"] * 120), test, seed=0)
    with pytest.raises(DataError, match="no class has two train images"):
        linear_probe(side(train.features[:3], ["a", "b", "c"]), test, seed=0)
