"""From pruned pairs and a split to a factor for every user and project.

Fitted on train projects alone; validation and test projects are placed afterwards by one half-step
with the user factors fixed, so nothing about them moves a user. A warm start begins with an earlier
table's factors, which keeps the axes of the latent space where they were.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.factorizer import Factorizer, Fitting, Fixed
from cf_pipeline.interactions.matrix import InteractionMatrix, build_matrix
from cf_pipeline.vectors import Matrix, indexed

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlacedFactors:
    """Factors of everyone and how they were found.

    Attributes:
        table: `side, id, factors ARRAY(Float32, n_factors), folded_in`.
        objective: of the factorizer, after every iteration.
        n_unplaced: held-out projects none of whose users was factorized; they have no row.
        n_started: users and train projects that began with earlier factors; 0 from nothing.
    """

    table: pl.DataFrame
    objective: tuple[float, ...]
    n_unplaced: int
    n_started: int = 0


def train_matrix(pairs: pl.DataFrame, split: pl.DataFrame) -> InteractionMatrix:
    """The matrix of train projects.

    Args:
        pairs: `user_id, project_id, confidence`, and `occurred_at` where time matters.
        split: `project_id, split`. A project that is not in it is known from interactions alone:
            without a cover it can only train.

    Raises:
        DataError: no train project is left.
    """
    is_train = pl.col("split").fill_null("train") == "train"
    train = pairs.join(split, on="project_id", how="left").filter(is_train)
    if train.is_empty():
        raise DataError(
            f"none of the {pairs['project_id'].n_unique():,} projects of pruned_matrix trains. "
            "Lower split.validation and split.test, or loosen pruning."
        )
    return build_matrix(train)


def place_all(
    pairs: pl.DataFrame,
    split: pl.DataFrame,
    factorizer: Factorizer,
    fitting: Fitting,
    start: pl.DataFrame | None = None,
) -> PlacedFactors:
    """Factorize train projects and fold the others in.

    Args:
        pairs: `user_id, project_id, confidence`, after pruning.
        split: `project_id, split`.
        factorizer: the method.
        fitting: number of factors, seed, threads, who listens.
        start: `side, id, factors`, an earlier table to begin with, folded-in projects included.
            Ids that it lacks begin at random; with another number of factors than configured it
            is left aside with a warning.

    Raises:
        DataError: no train project is left, or the solver diverged.
    """
    matrix = train_matrix(pairs, split)
    earlier, n_started = _earlier_factors(matrix, start, factorizer, fitting)
    factors = factorizer.fit(matrix.user_items, replace(fitting, start=earlier))
    held_out = pairs.join(split.filter(pl.col("split") != "train"), on="project_id", how="semi")
    n_held_out = held_out["project_id"].n_unique()
    new = build_matrix(held_out, user_ids=matrix.user_ids)
    degrees = np.diff(matrix.user_items.indptr).astype(np.int64)
    users = Fixed("user", factors.user_factors, degrees, len(matrix.project_ids))
    placed = factorizer.place(users, new.user_items.T.tocsr())
    table = pl.concat([
        _rows("user", matrix.user_ids, factors.user_factors, folded_in=False),
        _rows("project", matrix.project_ids, factors.item_factors, folded_in=False),
        _rows("project", new.project_ids, placed, folded_in=True),
    ])
    return PlacedFactors(table, factors.objective, n_held_out - len(new.project_ids), n_started)


def summarize(placed: PlacedFactors) -> dict[str, float]:
    """Counts and the last value of the objective."""
    projects = placed.table.filter(pl.col("side") == "project")
    return {
        "users": placed.table.height - projects.height,
        "projects": projects.height,
        "projects_folded_in": int(projects["folded_in"].sum()),
        "held_out_without_known_users": placed.n_unplaced,
        "started_from_earlier_factors": placed.n_started,
        "final_objective": placed.objective[-1],
    }


def _earlier_factors(
    matrix: InteractionMatrix,
    start: pl.DataFrame | None,
    factorizer: Factorizer,
    fitting: Fitting,
) -> tuple[tuple[Matrix, Matrix] | None, int]:
    """What to begin with, None for random factors alone, and how many ids have a row in it."""
    if start is None:
        return None, 0
    initial = factorizer.initial(matrix.user_items.shape, fitting)
    if initial is None:
        _logger.warning("%s cannot start from earlier factors: it starts cold", factorizer.name)
        return None, 0
    n_started = 0
    for side, ids, factors in zip(
        ("user", "project"), (matrix.user_ids, matrix.project_ids), initial, strict=True
    ):
        rows = pl.DataFrame({"id": pl.Series(ids, dtype=pl.String)}).with_row_index("row")
        known = rows.join(start.filter(side=side), on="id").sort("id")
        if known.is_empty():
            continue
        vectors = indexed(known, "id", "factors").vectors
        if vectors.shape[1] != fitting.n_factors:
            _logger.warning(
                "the earlier factors have length %d, factorization.n_factors is %d: "
                "factorization starts from random factors",
                vectors.shape[1],
                fitting.n_factors,
            )
            return None, 0
        factors[known["row"].to_numpy()] = vectors
        n_started += known.height
    return initial, n_started


def _rows(side: str, ids: tuple[str, ...], vectors: Matrix, *, folded_in: bool) -> pl.DataFrame:
    return pl.DataFrame({
        "side": pl.Series([side] * len(ids), dtype=pl.String),
        "id": pl.Series(ids, dtype=pl.String),
        "factors": pl.Series(
            np.ascontiguousarray(vectors), dtype=pl.Array(pl.Float32, vectors.shape[1])
        ),
        "folded_in": pl.Series([folded_in] * len(ids), dtype=pl.Boolean),
    })
