"""AP as scikit-learn has it, whatever scores tie; its mean over classes, balanced and resampled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from cf_pipeline.errors import DataError
from cf_pipeline.metrics.average_precision import (
    average_precisions,
    balanced_rows,
    mean_average_precision,
    mean_average_precision_bootstrap,
)
from cf_pipeline.metrics.keyed import id_keys


@given(
    st.integers(1, 40), st.integers(1, 5), st.integers(0, 10_000), st.sampled_from([1, 3, 10**6])
)
def test_it_is_that_of_scikit_learn(n: int, n_classes: int, seed: int, n_values: int) -> None:
    """One value: all tie; three: many do; a million: none."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, n_values, (n, n_classes)).astype(float)
    positives = rng.random((n, n_classes)) < rng.random(n_classes)
    found = average_precisions(scores, positives)
    for column in range(n_classes):
        if positives[:, column].any():
            expected = average_precision_score(positives[:, column], scores[:, column])
            assert found[column] == pytest.approx(expected, abs=1e-9)
        else:
            assert np.isnan(found[column])


def plain_balanced_map(
    scores: np.ndarray, labels: list[set[int]], ids: list[str], seed: int
) -> float:
    """Karayev's measure said once more, image by image."""
    classes = sorted(set().union(*labels))
    smallest = min(sum(c in of for of in labels) for c in classes)
    key = dict(zip(ids, id_keys(ids, seed).tolist(), strict=True))
    kept: set[str] = set()
    for c in classes:
        members = sorted((i for i, of in zip(ids, labels, strict=True) if c in of), key=key.get)
        kept |= set(members[:smallest])
    rows = [n for n, i in enumerate(ids) if i in kept]
    values = []
    for c in classes:
        ranked = sorted(rows, key=lambda n: -scores[n, c])
        hits, total = 0, 0.0
        for place, n in enumerate(ranked, start=1):
            if c in labels[n]:
                hits += 1
                total += hits / place
        values.append(total / hits)
    return sum(values) / len(values)


@pytest.mark.parametrize("most", [1, 3])
def test_balanced_it_agrees_with_a_plain_computation(most: int) -> None:
    rng = np.random.default_rng(most)
    ids = [f"image {n}" for n in range(200)]
    shares = [0.4, 0.3, 0.1, 0.1, 0.05, 0.05]
    numbers = rng.integers(1, most + 1, len(ids))
    labels = [set(rng.choice(6, size=n, replace=False, p=shares).tolist()) for n in numbers]
    positives = np.array([[c in of for c in range(6)] for of in labels])
    scores = rng.normal(size=positives.shape) + positives
    rows = balanced_rows(positives, id_keys(ids, 7))
    found = mean_average_precision(scores[rows], positives[rows])
    assert found == pytest.approx(plain_balanced_map(scores, labels, ids, 7), abs=1e-9)
    if most == 1:
        assert len(set(positives[rows].sum(axis=0).tolist())) == 1


def test_chance_is_how_common_a_class_is_and_knowing_is_one() -> None:
    rng = np.random.default_rng(0)
    positives = rng.random((20_000, 2)) < [0.1, 0.5]
    found = average_precisions(rng.random(positives.shape), positives)
    assert found == pytest.approx([0.1, 0.5], abs=0.01)
    assert average_precisions(positives.astype(float), positives).tolist() == [1, 1]


def test_intervals_hold_the_value_and_differences_are_paired() -> None:
    rng = np.random.default_rng(0)
    positives = rng.random((300, 4)) < 0.3
    groups = np.arange(300) // 3
    noise = rng.normal(size=positives.shape)
    ours, drawn = mean_average_precision_bootstrap(noise + positives, positives, groups, 200, 0)
    theirs, also = mean_average_precision_bootstrap(
        noise + 0.9 * positives, positives, groups, 200, 0
    )
    assert ours.low < ours.value < ours.high
    assert (ours.n_queries, ours.n_groups) == (300, 100)
    assert np.std(drawn - also) < 0.3 * np.std(drawn)
    assert ours.value > theirs.value
    alone, _ = mean_average_precision_bootstrap(
        noise, positives, np.zeros(300, dtype=np.int64), 50, 0
    )
    assert np.isnan(alone.low)


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(DataError, match="1 scores that are not finite"):
        average_precisions(np.array([[np.nan]]), np.array([[True]]))
    assert balanced_rows(np.zeros((3, 2), dtype=bool), id_keys(["a", "b", "c"], 0)).tolist() == []
