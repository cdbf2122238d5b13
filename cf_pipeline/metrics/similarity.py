"""The arithmetic of the similarity protocol: which projects people use together.

Relevance of two projects is the cosine of their IDF-weighted user sets minus what a random graph
of the same degrees would give, zero where that is negative. It is computed for blocks of rows,
never for all pairs at once. `docs/evaluation.md` says why; this is the letter of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cf_pipeline.errors import DataError
from cf_pipeline.metrics.keyed import Keys, keyed_uniforms
from cf_pipeline.metrics.ranking import Flags, Floats, rank_top_k
from cf_pipeline.vectors import Indices

N_POSITIVES = 10
"""A positive is drawn from this many most relevant projects."""
N_NEIGHBORS = 10
"""Cut-off of nDCG."""
N_DECILES = 10
N_THIRDS = 3


@dataclass(frozen=True)
class CoEngagement:
    """What relevance between projects needs, one row per project.

    Attributes:
        weighted: CSR float64, shape (n, n_users): w_u / |i| where user u engaged with i.
        expected: float64, shape (n,): d_i sqrt(sum_u w_u^2 (d_u / E)^2) / |i|, so that e_ij is
            the product of two of them.
        degrees: int64, shape (n,): d_i.
    """

    weighted: sparse.csr_matrix
    expected: Floats
    degrees: Indices

    def take(self, rows: Indices) -> CoEngagement:
        """The same for some of the projects, in the given order."""
        return CoEngagement(self.weighted[rows], self.expected[rows], self.degrees[rows])


def user_weights(user_degrees: Indices, n_projects: int) -> Floats:
    """w_u = log(n_projects / d_u); a user of every project says nothing and weighs 0."""
    return np.asarray(np.log(n_projects / user_degrees), dtype=np.float64)


def co_engagement(project_users: sparse.csr_matrix) -> CoEngagement:
    """Weights, norms and expectation of every project that has an event.

    Args:
        project_users: CSR, shape (n_projects, n_users); stored values are the pairs, each once.

    Raises:
        DataError: a project or user without a pair, or a repeated pair.
    """
    pairs = sparse.csr_matrix(project_users, dtype=np.float64, copy=True)
    pairs.sum_duplicates()
    if pairs.nnz != project_users.nnz:
        raise DataError(
            f"expected every (project, user) pair once, {project_users.nnz - pairs.nnz} are "
            "repeated. Keep distinct pairs only."
        )
    pairs.data[:] = 1.0
    degrees = np.diff(pairs.indptr).astype(np.int64)
    user_degrees = np.bincount(pairs.indices, minlength=pairs.shape[1]).astype(np.int64)
    if (degrees == 0).any() or (user_degrees == 0).any():
        raise DataError(
            f"expected projects and users with at least one pair, {(degrees == 0).sum()} projects "
            f"and {(user_degrees == 0).sum()} users have none. Leave them out: n_projects counts "
            "projects with an event."
        )
    squares = user_weights(user_degrees, pairs.shape[0]) ** 2
    # |i| = sqrt(sum over users of i of w_u^2)
    norms = np.sqrt(pairs @ squares)
    inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    weighted = sparse.csr_matrix(
        sparse.diags_array(inverse) @ pairs @ sparse.diags_array(np.sqrt(squares))
    )
    # e_ij = d_i d_j sum_u w_u^2 (d_u / E)^2 / (|i| |j|), a product of one number per project
    null = float(np.sum(squares * (user_degrees / pairs.nnz) ** 2))
    return CoEngagement(weighted, degrees * np.sqrt(null) * inverse, degrees)


def relevance(queries: CoEngagement, candidates: CoEngagement) -> Floats:
    """rel_ij = max(0, c_ij - e_ij), dense, shape (n_queries, n_candidates).

    c_ij is the cosine of the weighted user sets, e_ij what degrees alone make expected
    (modularity's null model).
    """
    cosine: Floats = (queries.weighted @ candidates.weighted.T).toarray()
    cosine -= np.outer(queries.expected, candidates.expected)
    return np.maximum(cosine, 0.0)


def popularity_bins(popularity: Indices, n_bins: int) -> Indices:
    """Bins 0..n_bins - 1 cut at quantiles; equal popularity is never divided.

    The cut between bins b - 1 and b is the smallest value that at least b / n_bins of the pool do
    not exceed. Where many share a value, bins are uneven or empty.
    """
    shares = np.arange(1, n_bins) / n_bins
    cuts = np.quantile(popularity, shares, method="inverted_cdf")
    return np.searchsorted(cuts, popularity, side="left").astype(np.int64)


@dataclass(frozen=True)
class TripletRules:
    """What triplets of a pool are drawn by.

    Attributes:
        deciles: popularity decile of each candidate, shape (n_candidates,).
        query_keys: shape (n_queries,).
        candidate_keys: shape (n_candidates,).
        n_triplets: triplets per anchor.
    """

    deciles: Indices
    query_keys: Keys
    candidate_keys: Keys
    n_triplets: int


def draw_triplets(
    relevances: Floats, comparable: Flags, rules: TripletRules
) -> tuple[Indices, Indices]:
    """Positives and negatives for every anchor.

    A positive comes from the (at most) ten most relevant comparable projects with relevance above
    0, its negative from the comparable projects of relevance 0 in the positive's decile. Both are
    drawn with replacement; positives whose decile has no negative are not drawn.

    Args:
        relevances: shape (n_queries, n_candidates).
        comparable: same shape.
        rules: deciles, keys and number of triplets.

    Returns:
        Columns of positives and of negatives, each (n_queries, n_triplets), -1 throughout the row
        of an anchor without such a pair.
    """
    positives = rank_top_k(
        relevances, comparable & (relevances > 0), N_POSITIVES, rules.query_keys,
        rules.candidate_keys,
    )  # fmt: skip
    uniforms = keyed_uniforms(rules.query_keys, 2 * rules.n_triplets)
    drawn = np.full((2, len(relevances), rules.n_triplets), -1, dtype=np.int64)
    by_decile = np.argsort(rules.deciles, kind="stable")
    for row, ranked in enumerate(positives):
        irrelevant = comparable[row] & (relevances[row] == 0)
        negatives = by_decile[irrelevant[by_decile]]
        # negatives[starts[b]:starts[b + 1]] are those of decile b
        starts = np.searchsorted(rules.deciles[negatives], np.arange(N_DECILES + 1))
        found = ranked[ranked >= 0]
        usable = found[np.diff(starts)[rules.deciles[found]] > 0]
        if len(usable) == 0:
            continue
        first, second = np.split(uniforms[row], 2)
        chosen = usable[(first * len(usable)).astype(np.int64)]
        low, high = starts[rules.deciles[chosen]], starts[rules.deciles[chosen] + 1]
        drawn[0, row] = chosen
        drawn[1, row] = negatives[low + (second * (high - low)).astype(np.int64)]
    return drawn[0], drawn[1]


def triplet_accuracy(
    positive_scores: npt.NDArray[np.floating], negative_scores: npt.NDArray[np.floating]
) -> Floats:
    """Share of triplets whose positive scores higher, ties half, (n, t) and (n, t) to (n,)."""
    won = (positive_scores > negative_scores) + 0.5 * (positive_scores == negative_scores)
    return np.asarray(won.mean(axis=1), dtype=np.float64)
