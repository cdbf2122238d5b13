"""Hiding events: nothing is lost, nothing is shown twice, and who is asked does not wander."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.holding_out import of_known_users, of_new_users
from cf_pipeline.interactions.matrix import InteractionMatrix
from cf_pipeline_tests.factorization.test_ranking import communities


@pytest.mark.parametrize("dated", [False, True])
def test_shown_and_hidden_events_share_none_and_make_all(dated: bool) -> None:
    matrix = communities(dated=dated)
    question = of_known_users(matrix, 0.2, 10_000, seed=0)
    kept = question.train.user_items
    assert question.rows is not None
    assert kept[question.rows].multiply(question.hidden).nnz == 0
    assert (kept[question.rows] != question.shown).nnz == 0
    back = kept + sparse.csr_matrix(
        (
            question.hidden.data,
            (question.rows[question.hidden.tocoo().row], question.hidden.indices),
        ),
        shape=kept.shape,
    )
    assert (back != matrix.user_items).nnz == 0
    assert question.hidden.nnz / matrix.user_items.nnz == pytest.approx(0.2, abs=0.05)


def test_of_events_with_times_the_newest_are_hidden() -> None:
    matrix = communities(dated=True)
    assert matrix.recency is not None
    question = of_known_users(matrix, 0.2, 10_000, seed=0)
    assert question.protocol == "newest_events"
    assert question.rows is not None
    assert question.train.recency is not None
    for n, row in enumerate(question.rows):
        recency = matrix.recency[row].toarray().ravel()
        hidden = question.hidden[n].indices
        n_hidden = max(1, int(0.2 * matrix.user_items[row].nnz))
        assert sorted(recency[hidden]) == list(range(1, n_hidden + 1))
        # What is left counts from 1 again, in the same order.
        left = question.train.recency[row].toarray().ravel()
        kept = np.flatnonzero(left)
        assert sorted(left[kept]) == list(range(1, len(kept) + 1))
        assert np.array_equal(np.argsort(left[kept]), np.argsort(recency[kept]))


@pytest.mark.parametrize("dated", [False, True])
def test_new_users_are_in_nothing_that_models_are_fitted_to(dated: bool) -> None:
    matrix = communities(dated=dated)
    question = of_new_users(matrix, 0.2, 10_000, seed=0)
    assert (question.rows, len(question.user_ids)) == (None, 12)
    assert not set(question.user_ids) & set(question.train.user_ids)
    assert {*question.user_ids, *question.train.user_ids} == set(matrix.user_ids)
    number = {id_: row for row, id_ in enumerate(matrix.user_ids)}
    theirs = matrix.user_items[[number[id_] for id_ in question.user_ids]]
    assert ((question.shown + question.hidden) != theirs).nnz == 0
    assert question.shown.multiply(question.hidden).nnz == 0


def test_of_many_users_some_are_asked_and_a_newcomer_moves_at_most_one() -> None:
    matrix = communities()
    asked = set(of_known_users(matrix, 0.2, 20, 0).user_ids)
    assert len(asked) == 20
    renamed = InteractionMatrix(
        ("newcomer", *matrix.user_ids[1:]), matrix.project_ids, matrix.user_items
    )
    assert len(asked - set(of_known_users(renamed, 0.2, 20, 0).user_ids)) <= 1


def test_of_users_with_few_dated_events_one_is_hidden_and_one_is_left() -> None:
    n_each = np.array([1, 2, 4, 9])
    stored = sparse.csr_matrix(np.arange(12) < n_each[:, np.newaxis], dtype=np.float32)
    recency = stored.copy()
    recency.data = np.concatenate([np.arange(n, 0, -1) for n in n_each]).astype(np.float32)
    ids = (tuple(f"u{n}" for n in n_each), tuple(f"p{n:02}" for n in range(12)))
    question = of_known_users(InteractionMatrix(*ids, stored, recency=recency), 0.2, 10, seed=0)
    assert question.user_ids == ("u2", "u4", "u9")
    assert np.diff(question.hidden.indptr).tolist() == [1, 1, 1]


def test_a_share_that_hides_nothing_is_refused() -> None:
    with pytest.raises(DataError, match=r"hides 0 of .* events"):
        of_known_users(communities(), 1e-9, 10, seed=0)


def test_too_few_users_to_leave_any_out_are_refused() -> None:
    with pytest.raises(DataError, match="none of 4 users can be left out"):
        of_new_users(communities(4), 0.2, 10, seed=0)
