"""Who lives in the planted world: clusters, projects, owners and users, with their true factors.

Projects gather around cluster centres that lie far apart; an owner's projects are of the owner's
cluster; a user likes one cluster most and another somewhat. Popularity knows nothing of factors.
A copy has the factor of its original, since factor and cover must say the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.vectors import Indices, Matrix, Vector, unit_norm

Names = npt.NDArray[np.str_]
"""Text, shape (n,)."""


@dataclass(frozen=True)
class Population:
    """Users and projects before anybody has looked at anything.

    Attributes:
        centres: float32 of unit length, shape (n_clusters, k).
        user_ids: outside keys, shape (n_users,), digits with leading zeros.
        user_factors: float32 of unit length, shape (n_users, k).
        project_ids: outside keys, shape (n_projects,), digits with leading zeros.
        project_factors: float32 of unit length, shape (n_projects, k).
        popularity: float32 log-odds of each project, shape (n_projects,).
        cluster: cluster number of each project, shape (n_projects,).
        owner: user number of each project's owner, -1 where unknown, shape (n_projects,).
        original: project number whose cover each project shows, its own where it is no copy.
        is_exact_copy: whether the cover is the original's file, byte by byte.
    """

    centres: Matrix
    user_ids: Names
    user_factors: Matrix
    project_ids: Names
    project_factors: Matrix
    popularity: Vector
    cluster: Indices
    owner: Indices
    original: Indices
    is_exact_copy: npt.NDArray[np.bool_]


def populate(config: PlantedConfig, rng: np.random.Generator) -> Population:
    """Draws everybody."""
    centres = _far_apart(config.n_clusters, config.n_factors, rng)
    cluster = rng.permutation(np.arange(config.n_projects) % config.n_clusters)
    factors = scatter(centres[cluster], config.spread, rng)
    owner = _owners(cluster, config, rng)
    original, is_exact_copy = _copies(owner, config, rng)
    cluster, factors = cluster[original], factors[original]
    owner = np.where(is_exact_copy, _rivals(owner[original], config), owner[original])
    return Population(
        centres=centres,
        user_ids=_ids(config.n_users, 6, rng),
        user_factors=_users(centres, config, rng),
        project_ids=_ids(config.n_projects, 8, rng),
        project_factors=factors,
        popularity=rng.normal(0, config.popularity, config.n_projects).astype(np.float32),
        cluster=cluster,
        owner=owner,
        original=original,
        is_exact_copy=is_exact_copy,
    )


def scatter(centres: Matrix, spread: float, rng: np.random.Generator) -> Matrix:
    """Unit vectors near these, a step of length about `spread` away; shape (n, k) to (n, k)."""
    step = rng.normal(0, spread / np.sqrt(centres.shape[1]), centres.shape)
    return unit_norm((centres + step).astype(np.float32))


def _far_apart(n: int, k: int, rng: np.random.Generator) -> Matrix:
    """Unit vectors, each the farthest of many candidates from those before; shape (n, k)."""
    candidates = unit_norm(rng.normal(size=(200 * n, k)).astype(np.float32))
    chosen = candidates[:1]
    while len(chosen) < n:
        nearest = (candidates @ chosen.T).max(axis=1)
        chosen = np.vstack([chosen, candidates[[nearest.argmin()]]])
    return chosen


def _users(centres: Matrix, config: PlantedConfig, rng: np.random.Generator) -> Matrix:
    """A direction between a first and a second cluster for everybody, shape (n_users, k)."""
    number = np.arange(config.n_users)
    first = np.where(
        number < config.owners,
        number % config.n_clusters,  # owners like what they draw
        rng.integers(config.n_clusters, size=config.n_users),
    )
    second = (first + rng.integers(1, config.n_clusters, size=config.n_users)) % config.n_clusters
    weight = rng.uniform(0, 0.8, (config.n_users, 1))
    mixed = centres[first] + weight * centres[second]
    return scatter(unit_norm(mixed.astype(np.float32)), config.spread, rng)


def _owners(cluster: Indices, config: PlantedConfig, rng: np.random.Generator) -> Indices:
    """The owner of each project, drawn among its cluster's owners, some busier than others."""
    number = np.arange(config.owners)
    busy = rng.lognormal(0, 0.5, config.owners)
    owner = np.empty(len(cluster), dtype=np.int64)
    for this in range(config.n_clusters):
        mine = number[number % config.n_clusters == this]
        projects = np.flatnonzero(cluster == this)
        owner[projects] = rng.choice(mine, len(projects), p=busy[mine] / busy[mine].sum())
    owner[rng.random(len(cluster)) < config.unowned] = -1
    return owner


def _copies(
    owner: Indices, config: PlantedConfig, rng: np.random.Generator
) -> tuple[Indices, npt.NDArray[np.bool_]]:
    """Which project each one copies, and whether byte by byte; only owned projects are copied."""
    n = config.n_projects
    order = rng.permutation(np.flatnonzero(owner >= 0))
    n_exact, n_near = round(config.exact_duplicates * n), round(config.near_duplicates * n)
    n_copies = min(n_exact + n_near, len(order) // 2)
    copies, originals = order[:n_copies], order[n_copies : 2 * n_copies]
    original = np.arange(n)
    original[copies] = originals
    is_exact_copy = np.zeros(n, dtype=bool)
    is_exact_copy[copies[:n_exact]] = True
    return original, is_exact_copy


def _rivals(owner: Indices, config: PlantedConfig) -> Indices:
    """The owner who copies from each owner.

    Owners of a cluster copy in pairs. Copies at random among all would chain owners together until
    they were one component, and a split that keeps components whole would hold nothing out.
    """
    rival = np.where(owner // config.n_clusters % 2 == 0, owner + config.n_clusters, owner)
    rival = np.where(owner // config.n_clusters % 2 == 1, owner - config.n_clusters, rival)
    return np.where(rival < config.owners, rival, owner)


def _ids(n: int, digits: int, rng: np.random.Generator) -> Names:
    """Different numbers as text with leading zeros, in no order."""
    digits = max(digits, len(str(10 * n)))
    # Numbers a tenth as long as the text, so that nearly every id begins with a zero.
    numbers = rng.choice(10 ** (digits - 1), n, replace=False)
    return np.array([f"{number:0{digits}d}" for number in numbers])
