"""Item-kNN against the obvious loop."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from cf_pipeline.factorization import item_knn
from cf_pipeline.factorization.item_knn import knn_scores, project_cosines


@pytest.mark.parametrize("at_once", [3, 1024])
@pytest.mark.parametrize("k", [2, 100])
def test_scores_are_those_of_the_loop(
    monkeypatch: pytest.MonkeyPatch, at_once: int, k: int
) -> None:
    monkeypatch.setattr(item_knn, "_PROJECTS_AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    dense = (rng.random((30, 11)) < 0.3) * rng.uniform(1, 9, (30, 11))
    dense[:, 4] = 0  # a project that nobody has
    seen = dense > 0
    expected = np.zeros((30, 11))
    for j in range(11):
        cosines = np.array([
            0.0
            if i == j or not seen[:, i].any() or not seen[:, j].any()
            else (seen[:, i] & seen[:, j]).sum() / np.sqrt(seen[:, i].sum() * seen[:, j].sum())
            for i in range(11)
        ])
        nearest = np.argsort(-np.round(cosines, 6), kind="stable")[:k]
        for user in range(30):
            expected[user, j] = sum(cosines[i] for i in nearest if seen[user, i])
    matrix = sparse.csr_matrix(dense.astype(np.float32))
    cosines = project_cosines(matrix, k)
    assert np.diff(cosines.indptr).max() <= k
    if k == 100:
        assert knn_scores(matrix, cosines) == pytest.approx(expected, abs=1e-5)
    else:  # of equals another may be kept: as many, and as near
        kept = np.sort(cosines.toarray(), axis=1)[:, -k:]
        whole = np.sort(project_cosines(matrix, 11).toarray(), axis=1)[:, -k:]
        assert kept == pytest.approx(whole)
