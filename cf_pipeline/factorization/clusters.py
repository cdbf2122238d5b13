"""What lies together in latent space: k-means on unit-norm factors, for people to look at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.vectors import IndexedVectors, Indices, Matrix, indexed, unit_norm

_STARTS = 4
_FEWEST, _MOST = 2, 64
CLUSTERS_SCHEMA = {
    "cluster": pl.Int32,
    "side": pl.String,
    "id": pl.String,
    "distance": pl.Float32,
}


def number_of_clusters(n_projects: int) -> int:
    """The root of half of the projects, 2 to 64: about twice as many projects each as clusters.

    The rule of thumb of Mardia, Kent, Bibby 1979; above 64 nobody looks at them all.
    """
    return min(_MOST, max(_FEWEST, round(math.sqrt(n_projects / 2))))


@dataclass(frozen=True)
class Clusters:
    """Centres in latent space, the one that most projects are nearest to first.

    Attributes:
        centres: means of unit vectors, shape (n_clusters, n_factors).
    """

    centres: Matrix

    @classmethod
    def of(cls, factors: Matrix, n_clusters: int | None, seed: int) -> Clusters:
        """k-means (Lloyd, the best of four k-means++ starts).

        Args:
            factors: of train projects, shape (n, n_factors).
            n_clusters: how many; None: `number_of_clusters`. Never more than different factors.
            seed: of the starts.

        Raises:
            DataError: fewer than two different factors.
        """
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        places = unit_norm(factors)
        n_places = len(np.unique(places, axis=0))
        if n_places < _FEWEST:
            raise DataError(
                f"{len(factors)} train projects have {n_places} different factors: there is "
                "nothing to tell apart. Loosen pruning, or look at latent_factors."
            )
        wanted = n_clusters or number_of_clusters(len(factors))
        means = KMeans(min(wanted, n_places), n_init=_STARTS, random_state=seed)
        with threadpool_limits(limits=1):  # sums over threads have other last digits
            numbers = means.fit_predict(places)
        sizes = np.bincount(numbers, minlength=means.n_clusters)
        order = np.argsort(-sizes, kind="stable")
        return cls(np.asarray(means.cluster_centers_[order], dtype=np.float32))

    def place(self, factors: Matrix) -> tuple[Indices, Matrix]:
        """The nearest centre of each, and the Euclidean distance of its unit vector to it.

        (n, n_factors) to (n,) and (n,).
        """
        from sklearn.metrics import pairwise_distances_argmin_min

        numbers, distances = pairwise_distances_argmin_min(unit_norm(factors), self.centres)
        return numbers.astype(np.int64), distances.astype(np.float32)


def cluster_table(factors: pl.DataFrame, n_clusters: int | None, seed: int) -> pl.DataFrame:
    """Where every user and project belongs.

    Args:
        factors: rows of `latent_factors`. Centres are those of train projects alone, and everybody
            is placed by them.
        n_clusters: as of `Clusters.of`.
        seed: as of `Clusters.of`.

    Returns:
        Rows of CLUSTERS_SCHEMA, a row for every user and project.
    """
    fitted = factors.filter(pl.col("side") == "project", ~pl.col("folded_in"))
    clusters = Clusters.of(indexed(fitted, "id", "factors").vectors, n_clusters, seed)
    return pl.concat([
        _placed(clusters, side, indexed(rows, "id", "factors"))
        for (side,), rows in factors.sort("side").group_by("side", maintain_order=True)
    ])


def _placed(clusters: Clusters, side: object, vectors: IndexedVectors) -> pl.DataFrame:
    numbers, distances = clusters.place(vectors.vectors)
    return pl.DataFrame(
        {
            "cluster": numbers,
            "side": [str(side)] * len(vectors.ids),
            "id": list(vectors.ids),
            "distance": distances,
        },
        schema=CLUSTERS_SCHEMA,
    )
