"""Item-kNN against the obvious loop."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from cf_pipeline.factorization.item_knn import knn_scores, project_cosines


@pytest.mark.parametrize("k", [2, 100])
def test_scores_are_those_of_the_loop(k: int) -> None:
    rng = np.random.default_rng(0)
    dense = (rng.random((40, 11)) < 0.3) * rng.uniform(1, 9, (40, 11))
    dense[:, 4] = 0  # a project that nobody has
    seen = dense > 0
    expected = np.zeros((40, 11))
    for j in range(11):
        cosines = [
            0.0
            if i == j or not seen[:, i].any() or not seen[:, j].any()
            else (seen[:, i] & seen[:, j]).sum() / np.sqrt(seen[:, i].sum() * seen[:, j].sum())
            for i in range(11)
        ]
        nearest = np.argsort(-np.array(cosines), kind="stable")[:k]
        for user in range(40):
            expected[user, j] = sum(cosines[i] for i in nearest if seen[user, i])
    matrix = sparse.csr_matrix(dense.astype(np.float32))
    one, two = (project_cosines(matrix, k, threads) for threads in (1, 2))
    assert (one != two).nnz == 0
    assert knn_scores(matrix, one) == pytest.approx(expected, abs=1e-5)
