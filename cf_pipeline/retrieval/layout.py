"""Two dimensions for many: vectors laid out so that near ones lie together, for people to look at.

t-SNE (van der Maaten, Hinton 2008; Barnes-Hut, van der Maaten 2014) keeps neighbourhoods. Distances
between what is far apart, and the sizes of groups, mean nothing.
"""

from __future__ import annotations

import numpy as np

from cf_pipeline.metrics.keyed import id_keys
from cf_pipeline.vectors import IndexedVectors, Matrix, unit_norm

MOST = 10_000
"""Time and size of a map are bounded by its number of places."""
_DIRECTIONS = 50
_PERPLEXITY = 30.0
_ITERATIONS = 350
"""15 s of one core for 8,000 covers; what 150 more change cannot be told by eye."""
_ANGLE = 0.8
"""A cell that looks smaller than this stands for all in it. 0.5 takes half as long again, and the
maps of the bundled data cannot be told apart."""
_ALIKE = 1e-5
"""Of unit vectors, a spread that is rounding."""
_FEWEST = 12
"""With fewer there is no neighbourhood to keep."""


def laid_out(vectors: IndexedVectors, most: int = MOST, seed: int = 0) -> IndexedVectors:
    """Places on a square, x and y from 0 to 1, in the order of the ids given.

    Args:
        vectors: shape (n, d); compared by cosine.
        most: at most so many are laid out, those with the smallest keys of seed and id, so that a
            newcomer moves at most one out.
        seed: of the keys, and of what is random in the principal directions.

    Returns:
        float32, shape (min(n, most), 2). The same input gives the same bytes on the same machine.
    """
    ids = np.array(vectors.ids, dtype=np.object_)
    kept = np.sort(np.argsort(id_keys(vectors.ids, seed), kind="stable")[:most])
    return IndexedVectors(tuple(ids[kept].tolist()), _flat(vectors.vectors[kept], seed))


def _flat(vectors: Matrix, seed: int) -> Matrix:
    """(n, d) to (n, 2), from 0 to 1; what is all alike lies in the middle."""
    # Before threads are limited: what is loaded later is not held.
    import sklearn.manifold  # noqa: F401
    from threadpoolctl import threadpool_limits

    if len(vectors) < 2:
        return np.full((len(vectors), 2), 0.5, dtype=np.float32)
    # Sums over threads have other last digits, which iterations enlarge. TSNE's own `n_jobs` holds
    # the search of neighbours alone.
    with threadpool_limits(limits=1):
        principal = _principal(unit_norm(vectors), seed)
        if np.ptp(principal[:, 0]) < _ALIKE:
            return np.full((len(vectors), 2), 0.5, dtype=np.float32)
        flat = principal[:, :2] if len(vectors) < _FEWEST else _neighbourly(principal, seed)
    return _on_a_square(flat)


def _principal(unit: Matrix, seed: int) -> Matrix:
    """Coordinates along at most fifty principal directions, two columns at least."""
    from sklearn.decomposition import PCA

    n_directions = min(_DIRECTIONS, *unit.shape)
    # A randomized solver where that is faster, hence the seed.
    principal = PCA(n_directions, random_state=seed).fit_transform(unit)
    missing = max(0, 2 - n_directions)
    return np.asarray(np.pad(principal, ((0, 0), (0, missing))), dtype=np.float32)


def _neighbourly(principal: Matrix, seed: int) -> Matrix:
    from sklearn.manifold import TSNE

    tsne = TSNE(
        init="pca",
        perplexity=min(_PERPLEXITY, (len(principal) - 1) / 3),
        max_iter=_ITERATIONS,
        angle=_ANGLE,
        random_state=seed,
        n_jobs=1,
    )
    return np.asarray(tsne.fit_transform(principal), dtype=np.float32)


def _on_a_square(flat: Matrix) -> Matrix:
    """The longer side fills 0 to 1, the shorter lies in the middle: both have one scale."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    middle, side = (low + high) / 2, float((high - low).max())
    return np.asarray(np.clip((flat - middle) / side + 0.5, 0, 1), dtype=np.float32)
