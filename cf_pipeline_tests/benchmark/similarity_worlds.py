"""Small worlds for the similarity protocol, with a known answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from cf_pipeline.benchmark.inputs import PoolInputs, SimilarityInputs
from cf_pipeline.vectors import IndexedVectors

PROJECT_SCHEMA = {
    "project_id": pl.String,
    "owners": pl.List(pl.String),
    "split_group": pl.String,
    "stratum": pl.String,
    "field": pl.String,
}


def projects_frame(**columns: list) -> pl.DataFrame:
    """Projects of which only the given columns are known."""
    n = len(columns["project_id"])
    rows = {name: columns.get(name, [None] * n) for name in PROJECT_SCHEMA}
    return pl.DataFrame(rows, schema=PROJECT_SCHEMA)


def covers_frame(ids: list[str], **columns: list[str | None]) -> pl.DataFrame:
    """Readable covers that all look different unless told otherwise."""
    rows = {"project_id": ids, "status": ["ok"] * len(ids), "look_group": ids}
    rows = {**rows, "look_component": ids, **columns}
    return pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String))


def clustered_world(
    *,
    seed: int = 0,
    n: int = 420,
    n_clusters: int = 6,
    n_users: int = 300,
    planted: float = 1.0,
    strata: int = 0,
) -> SimilarityInputs:
    """Users like one cluster of projects each.

    `collaborative` and the factors know the cluster (as far as `planted` says), `imagenet` knows a
    linear map of it under much noise and `imagenet_ridge` somewhat more, `random` and `color` know
    nothing.
    """
    rng = np.random.default_rng(seed)
    ids = [f"p{i:04d}" for i in range(n)]
    cluster = rng.integers(0, n_clusters, n)
    taste = rng.integers(0, n_clusters, n_users)
    likes = rng.random((n, n_users)) < np.where(taste == cluster[:, np.newaxis], 0.12, 0.004)
    likes[np.arange(n), rng.integers(0, n_users, n)] = True
    project, user = np.nonzero(likes)
    events = pl.DataFrame({
        "user_id": [f"u{u}" for u in user],
        "project_id": [ids[p] for p in project],
    })
    place = np.eye(n_clusters)[cluster]

    def vectors(matrix: np.ndarray) -> IndexedVectors:
        return IndexedVectors(tuple(ids), matrix.astype(np.float32))

    def noise(d: int) -> np.ndarray:
        return rng.normal(size=(n, d))

    loud = place @ rng.normal(size=(n_clusters, 24)) + 3.0 * noise(24)
    judged = PoolInputs(
        events=events.sort("user_id", "project_id"),
        projects=projects_frame(
            project_id=ids,
            owners=[[f"o{o}"] if o < 150 else None for o in rng.integers(0, 170, n)],
            field=[f"field {c}" for c in cluster],
            stratum=[str(s) for s in rng.integers(0, strata, n)] if strata else [None] * n,
        ),
        covers=covers_frame(ids),
        splits=pl.DataFrame({
            "project_id": ids,
            "split": rng.choice(["train", "validation", "test"], n),
        }),
        representatives=pl.DataFrame({"project_id": ids, "representative": ids}),
        factors=vectors(place + 0.1 * noise(n_clusters) + 5.0),
    )
    return SimilarityInputs(
        judged,
        {
            "collaborative": vectors(planted * place + 0.2 * noise(n_clusters) + 3.0),
            "predicted_factors": vectors(planted * 0.3 * place + 0.3 * noise(n_clusters)),
            "imagenet": vectors(loud),
            "random": vectors(noise(16)),
            "color": vectors(noise(16)),
            "imagenet_ridge": vectors(0.8 * place + 0.5 * noise(n_clusters)),
            "imagenet_levels": vectors(loud + noise(24)),
            "imagenet_levels_ridge": vectors(0.8 * place + 0.5 * noise(n_clusters)),
        },
    )


def rejudged(world: SimilarityInputs, **changes: object) -> SimilarityInputs:
    """A world in which others are judged, or by something else."""
    return replace(world, judged=replace(world.judged, **changes))
