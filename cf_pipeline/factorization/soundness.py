"""Whether factors place users and projects apart: finite, not zero, not collapsed.

Only directions count, as they do for everything that uses factors; both sides are judged alike.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from cf_pipeline.metrics.spread import (
    effective_dimensions,
    fewest_dimensions,
    mean_cosine,
    sampled_rows,
)
from cf_pipeline.vectors import Matrix
from cf_pipeline.verdict import Verdict, check

MAX_ZERO_SHARE = 0.5
"""Of users, and of projects, the share that may have no place at all."""
ZERO_LENGTH = 1e-6
"""A vector shorter than this share of the longest one is zero: least squares leaves rounding."""
MAX_MEAN_COSINE = 0.99
"""Above this all point the same way, on average within 8 degrees of each other."""
SAMPLE = 10_000
"""Rows of a side that directions are judged by."""
SEED = 0

_HINT = "Check factorization.regularization and factorization.n_factors, and pruned_matrix."


# In the order of the key, since the rows that directions are judged by are drawn by number.
@check(latent_factors="select side, id, factors from latent_factors order by side, id")
def factors_are_finite_and_spread(latent_factors: pl.DataFrame) -> Verdict:
    """Factors are finite, not zero for most, and neither alike nor on one line.

    Collapse is judged by the mean cosine and the effective dimensions of the unit vectors of a
    side (metrics.spread names the sources).

    Args:
        latent_factors: `side, id, factors`, factors an array or list of floats.
    """
    facts: dict[str, float | int | str] = {}
    problems: list[str] = []
    for side in ("user", "project"):
        rows = latent_factors.filter(pl.col("side") == side)
        factors = rows["factors"].cast(pl.List(pl.Float32))
        lengths = factors.list.len().unique()
        if len(lengths) != 1 or lengths.null_count() or lengths[0] == 0:
            problems.append(
                f"Expected {side} factors of one length, got {factors.len():,} rows of lengths "
                f"{sorted(lengths.to_list(), key=str)}. Materialize latent_factors again."
            )
            continue
        # A null within a vector becomes NaN here.
        flat = factors.explode(empty_as_null=False, keep_nulls=True).to_numpy()
        matrix = flat.astype(np.float32).reshape(rows.height, int(lengths[0]))
        side_facts, side_problems = _judge(side, matrix)
        facts |= {f"{side}_{name}": value for name, value in side_facts.items()}
        problems += side_problems
    sound = "Factors are finite and differ: " + "; ".join(
        f"{side}s have {facts.get(f'{side}_effective_dimensions', 0):.1f} effective dimensions"
        for side in ("user", "project")
    )
    return Verdict.of(problems, f"{sound}.", facts)


def _judge(side: str, factors: Matrix) -> tuple[dict[str, float], list[str]]:
    n_bad = int((~np.isfinite(factors).all(axis=1)).sum())
    facts: dict[str, float] = {"rows": len(factors), "not_finite": n_bad}
    if n_bad:
        return facts, [
            f"Expected finite numbers, {n_bad:,} of {len(factors):,} {side} vectors hold NaN or "
            f"infinity. {_HINT}"
        ]
    lengths = np.linalg.norm(factors.astype(np.float64), axis=1)
    placed = lengths > ZERO_LENGTH * lengths.max()
    facts["zero_share"] = float(1 - placed.mean())
    problems = []
    if facts["zero_share"] > MAX_ZERO_SHARE:
        problems.append(
            f"{facts['zero_share']:.1%} of {side} vectors are zero, at most {MAX_ZERO_SHARE:.0%} "
            f"are expected. {_HINT}"
        )
    directions = factors[placed] / lengths[placed, np.newaxis]
    directions = sampled_rows(directions.astype(np.float32), SAMPLE, SEED)
    if len(directions) < 2:
        return facts, [*problems, f"Expected 2 or more {side}s with a place. {_HINT}"]
    facts["mean_cosine"] = mean_cosine(directions)
    facts["effective_dimensions"] = effective_dimensions(directions)
    if facts["mean_cosine"] > MAX_MEAN_COSINE:
        problems.append(
            f"The mean cosine between two {side}s is {facts['mean_cosine']:.4f}, at most "
            f"{MAX_MEAN_COSINE} is expected: all have the same place. {_HINT}"
        )
    limit = fewest_dimensions(*directions.shape)
    if facts["effective_dimensions"] < limit:
        problems.append(
            f"Vectors of {side}s have {facts['effective_dimensions']:.2f} effective dimensions, "
            f"at least {limit:.1f} are expected: they lie on a line. {_HINT}"
        )
    return facts, problems
