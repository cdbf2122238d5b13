"""Classification measures by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cf_pipeline.metrics.classification import (
    class_accuracies,
    confusion_counts,
    mean_class_accuracy,
)

LABELS = np.array([0, 0, 0, 1, 3])
PREDICTIONS = np.array([0, 0, 1, 1, 0])


def test_confusion_and_accuracies_by_hand() -> None:
    confusion = confusion_counts(LABELS, PREDICTIONS, 4)
    assert confusion.tolist() == [[2, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    # Classes 2/3, 1/1, none, 0/1, so (2/3 + 1 + 0) / 3.
    assert mean_class_accuracy(confusion) == pytest.approx((2 / 3 + 1) / 3)
    assert np.isnan(class_accuracies(confusion)[2])


def test_nothing_to_classify_is_nan() -> None:
    empty = np.zeros((3, 3), dtype=np.int64)
    assert np.isnan(mean_class_accuracy(empty))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=50))
def test_in_range_and_equal_to_item_by_item(items: list[tuple[int, int]]) -> None:
    labels, predictions = np.array(items).T
    confusion = confusion_counts(labels, predictions, 5)
    by_class = [(predictions[labels == c] == c).mean() for c in set(labels.tolist())]
    assert mean_class_accuracy(confusion) == pytest.approx(np.mean(by_class))
