"""Log-odds with a prior: beside the formulas written out, and what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cf_pipeline.metrics.log_odds import log_odds_scores

COUNTS = np.array([[30.0, 2.0, 10.0], [3.0, 20.0, 10.0], [0.0, 1.0, 12.0]])


def written_out(group: int, word: int, prior_size: float) -> float:
    """Equations 16, 20 and 22 for one word, in plain Python."""
    total = [sum(column) for column in COUNTS.T]
    prior = [prior_size * t / sum(total) for t in total]
    here, there = COUNTS[group][word], total[word] - COUNTS[group][word]
    n_here, n_there = sum(COUNTS[group]), sum(total) - sum(COUNTS[group])
    first = math.log((here + prior[word]) / (n_here + prior_size - here - prior[word]))
    second = math.log((there + prior[word]) / (n_there + prior_size - there - prior[word]))
    deviation = math.sqrt(1 / (here + prior[word]) + 1 / (there + prior[word]))
    return (first - second) / deviation


def test_it_equals_the_formulas() -> None:
    scores = log_odds_scores(COUNTS, 7.0)
    expected = [[written_out(group, word, 7.0) for word in range(3)] for group in range(3)]
    assert scores == pytest.approx(np.array(expected))


def test_a_rare_word_has_to_be_seen_often_enough() -> None:
    counts = np.array([[1.0, 20.0, 300.0], [0.0, 2.0, 300.0]])
    once, often, _ = log_odds_scores(counts, 20.0)[0]
    assert once < 1.96 < often


def test_a_word_that_all_groups_have_alike_tells_nothing() -> None:
    scores = log_odds_scores(np.array([[10.0, 5.0], [10.0, 5.0]]), 10.0)
    assert scores == pytest.approx(0, abs=1e-9)
