"""What users of the planted world did: views drawn by taste and popularity, then the rest.

A user's views are drawn without replacement with odds exp(affinity * cosine + popularity), by the
largest of log-odds plus Gumbel noise (Gumbel top-k; Kool, van Hoof, Welling 2019, section 2). Users
come in chunks of about 20 million user-project pairs, so memory does not grow with their number.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from cf_pipeline.synthetic.config import PlantedConfig
from cf_pipeline.synthetic.population import Population
from cf_pipeline.vectors import Indices, Matrix

PAIRS_AT_ONCE = 20_000_000
START = datetime(2014, 1, 1)
SECONDS = 365 * 24 * 3600


def log_odds(user_factors: Matrix, population: Population, config: PlantedConfig) -> Matrix:
    """Log-odds of a view up to a constant of each user, float32, shape (n_users, n_projects)."""
    cosine = user_factors @ population.project_factors.T
    return np.asarray(config.affinity * cosine + population.popularity, dtype=np.float32)


def draw_events(
    population: Population, config: PlantedConfig, rng: np.random.Generator
) -> pl.DataFrame:
    """All events: `user_id, project_id, kind, occurred_at, count`, in order of time.

    Kinds are `view` (count 1 or more), `appreciation` (of something viewed, rather of what is to
    the user's taste) and `ownership`. A pair of user and project may occur in all three.
    """
    user, project = _views(population, config, rng)
    cosine = (population.user_factors[user] * population.project_factors[project]).sum(axis=1)
    # The odds rise with the cosine; the share stays near `appreciation` over all views.
    taste = np.exp(2 * cosine)
    liked = rng.random(len(user)) < config.appreciation * taste / taste.mean()
    owned = np.flatnonzero(population.owner >= 0)
    rows = [
        _table(population, user, project, "view", rng.geometric(0.7, len(user)), rng),
        _table(population, user[liked], project[liked], "appreciation", None, rng),
        _table(population, population.owner[owned], owned, "ownership", None, rng),
    ]
    return pl.concat(rows).sort("occurred_at", "user_id", "project_id", "kind")


def _views(
    population: Population, config: PlantedConfig, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Numbers of users and projects, one entry per view, every pair at most once."""
    n_users, n_projects = config.n_users, config.n_projects
    tail = 0.5
    drawn = config.events_per_user * rng.lognormal(-(tail**2) / 2, tail, n_users)
    degree = np.clip(np.rint(drawn), 1, max(1, n_projects // 2)).astype(np.int64)
    chunk = max(1, PAIRS_AT_ONCE // n_projects)
    users, projects = [], []
    for start in range(0, n_users, chunk):
        wanted = degree[start : start + chunk]
        odds = log_odds(population.user_factors[start : start + chunk], population, config)
        odds -= np.log(rng.standard_exponential(odds.shape, dtype=np.float32) + 1e-30)
        best = _largest(odds, int(wanted.max()))
        keep = np.arange(best.shape[1]) < wanted[:, None]
        users.append(np.repeat(np.arange(start, start + len(wanted)), wanted))
        projects.append(best[keep])
    return np.concatenate(users), np.concatenate(projects)


def _largest(scores: Matrix, k: int) -> Indices:
    """Columns of the k largest of every row, largest first, without sorting the rest."""
    part = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, part, axis=1), axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1)


def _table(
    population: Population,
    user: Indices,
    project: Indices,
    kind: str,
    count: npt.NDArray[np.int64] | None,
    rng: np.random.Generator,
) -> pl.DataFrame:
    seconds = rng.integers(SECONDS, size=len(user))
    return pl.DataFrame(
        {
            "user_id": population.user_ids[user],
            "project_id": population.project_ids[project],
            "kind": np.full(len(user), kind),
            "occurred_at": np.datetime64(START, "us") + seconds.astype("timedelta64[s]"),
            "count": np.ones(len(user), dtype=np.int64) if count is None else count,
        },
        schema_overrides={"user_id": pl.String, "project_id": pl.String, "kind": pl.String},
    )
