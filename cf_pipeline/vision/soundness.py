"""Checks: covers are grouped with sense, training learned, and embeddings tell covers apart.

Large tables are judged by a seeded sample of rows, so that a check costs less than a second.
"""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl

from cf_pipeline.metrics.spread import (
    effective_dimensions,
    fewest_dimensions,
    mean_cosine,
    sampled_rows,
)
from cf_pipeline.vectors import Matrix, unit_norm
from cf_pipeline.verdict import Verdict, check

MAX_GROUP_SHARE = 0.05
"""A look group with more of all readable covers than this: the thresholds are too loose."""
MIN_GROUP_SIZE = 5
"""A look group of fewer covers is never too large: among thirty, a pair is a fifteenth."""
MIN_DISTINCT_SHARE = 0.05
"""Of vectors, the share that has to be different. Exact duplicates among covers are expected,
twenty copies of each are not."""
MAX_MEAN_COSINE = 0.999
"""Above this all embeddings point the same way, within 3 degrees. A network that has learned
nothing stays below: its ReLU features of Open Clip Art have 0.95."""
MAX_HUB_SHARE = 0.5
"""Of rows, the share whose nearest neighbour may be one and the same row. Embeddings of Open Clip
Art have 0.004."""
MIN_NEIGHBOURS = 20
"""Among fewer different rows one may be most others' neighbour by chance."""
SAMPLE = 2_000
"""Rows that neighbours and spread are judged by."""
SEED = 0

_HINT = "Look at the history of trained_cnn and at latent_factors; lower vision.learning_rate."


_FEATURES = "select features from embeddings where model_version = $scope order by project_id"


@check(covers="select look_group from covers")
def no_look_group_is_too_large(covers: pl.DataFrame) -> Verdict:
    """A look group with more than 5 % of all covers means that thresholds are too loose.

    Args:
        covers: `look_group`, null where a cover cannot be read.
    """
    sizes = covers.drop_nulls("look_group").group_by("look_group").len()["len"].to_numpy()
    size, readable = int(sizes.max(initial=0)), int(sizes.sum())
    share = size / max(1, readable)
    facts = {"readable_covers": readable, "largest_group": size, "largest_share": share}
    found = f"The largest look group holds {size:,} of {readable:,} readable covers ({share:.1%})"
    if share <= MAX_GROUP_SHARE or size < MIN_GROUP_SIZE:
        return Verdict(True, f"{found}.", facts)
    return Verdict(
        False,
        f"{found}, at most {MAX_GROUP_SHARE:.0%} or {MIN_GROUP_SIZE - 1} covers are expected. "
        "Lower covers.max_hash_distance or covers.max_pixel_difference.",
        facts,
    )


@check(embeddings=_FEATURES)
def embeddings_are_not_alike(embeddings: pl.DataFrame) -> Verdict:
    """Covers that differ have features that differ.

    They are finite, mostly different, and neither alike nor on one line.

    Args:
        embeddings: `features`, one row per cover, in an order that does not change: rows are
            sampled by number.
    """
    vectors = _vectors(embeddings)
    n_bad = int((~np.isfinite(vectors).all(axis=1)).sum())
    facts: dict[str, float] = {"rows": len(vectors), "not_finite": n_bad}
    if n_bad or len(vectors) < 2:
        problem = (
            f"Expected 2 or more embeddings of finite numbers, got {len(vectors):,}, of which "
            f"{n_bad:,} hold NaN or infinity. {_HINT}"
        )
        return Verdict(False, problem, facts)
    distinct = _distinct(vectors)
    facts["distinct_share"] = len(distinct) / len(vectors)
    problems = []
    if facts["distinct_share"] < MIN_DISTINCT_SHARE:
        problems.append(
            f"{len(distinct):,} of {len(vectors):,} embeddings are different, at least "
            f"{MIN_DISTINCT_SHARE:.0%} are expected. {_HINT}"
        )
    sample = sampled_rows(distinct[np.any(distinct != 0, axis=1)], SAMPLE, SEED)
    if len(sample) < 2:
        return Verdict.of([*problems, f"Expected 2 or more looks. {_HINT}"], "", facts)
    facts["mean_cosine"] = mean_cosine(sample)
    facts["effective_dimensions"] = effective_dimensions(unit_norm(sample))
    if facts["mean_cosine"] > MAX_MEAN_COSINE:
        problems.append(
            f"The mean cosine between two embeddings is {facts['mean_cosine']:.5f}, at most "
            f"{MAX_MEAN_COSINE} is expected: all covers look the same to the network. {_HINT}"
        )
    limit = fewest_dimensions(*sample.shape)
    if facts["effective_dimensions"] < limit:
        problems.append(
            f"Embeddings spread over {facts['effective_dimensions']:.2f} effective dimensions, at "
            f"least {limit:.1f} are expected: they lie on a line. {_HINT}"
        )
    sound = (
        f"{len(distinct):,} different embeddings, mean cosine {facts['mean_cosine']:.2f}, "
        f"{facts['effective_dimensions']:.1f} effective dimensions."
    )
    return Verdict.of(problems, sound, facts)


@check(embeddings=_FEATURES)
def neighbours_are_not_the_same(embeddings: pl.DataFrame) -> Verdict:
    """No cover is the nearest neighbour, by cosine, of most others.

    The largest 1-occurrence of Radovanović, Nanopoulos, Ivanović (2010), "Hubs in space", JMLR 11,
    as a share of rows. Equal rows count once: that copies are each other's neighbours says nothing.

    Args:
        embeddings: as above.
    """
    vectors = _vectors(embeddings)
    if not np.isfinite(vectors).all():
        return Verdict(False, f"Expected finite numbers to find neighbours by. {_HINT}", {})
    distinct = _distinct(vectors)
    facts: dict[str, float] = {"rows": len(vectors), "distinct_rows": len(distinct)}
    if len(distinct) < MIN_NEIGHBOURS:
        passed = len(distinct) >= MIN_DISTINCT_SHARE * len(vectors) and len(distinct) > 0
        message = f"{len(distinct)} different rows of {len(vectors):,}: "
        message += (
            "too few to judge neighbours by." if passed else f"neighbours are copies. {_HINT}"
        )
        return Verdict(passed, message, facts)
    unit = unit_norm(sampled_rows(distinct, SAMPLE, SEED))
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    occurrences = np.bincount(cosines.argmax(axis=1), minlength=len(unit))
    share = float(occurrences.max() / len(unit))
    facts |= {"rows_sampled": len(unit), "hub_share": share}
    found = f"The most frequent nearest neighbour is that of {share:.1%} of {len(unit):,} rows"
    if share <= MAX_HUB_SHARE:
        return Verdict(True, f"{found}.", facts)
    return Verdict(
        False,
        f"{found}, at most {MAX_HUB_SHARE:.0%} are expected: every search finds the same. {_HINT}",
        facts,
    )


@check(
    blocking=False,
    history="select epoch, name, value from training_history where model_version = $scope",
)
def loss_fell(history: pl.DataFrame) -> Verdict:
    """The training loss ended below where it began.

    Args:
        history: `epoch, name, value` of one training.
    """
    losses = history.filter(pl.col("name") == "train_loss").sort("epoch")
    if history.height and history["epoch"].max() == 0 and history["value"].is_finite().all():
        return Verdict(True, "vision.epochs = 0: nothing was trained.", {"epochs": 0})
    n_bad = history.height - int(history["value"].is_finite().sum())
    facts: dict[str, float] = {"epochs": losses.height, "not_finite": n_bad}
    if n_bad or not losses.height:
        problem = (
            f"Expected a train_loss per epoch and finite numbers, got {losses.height} epochs and "
            f"{n_bad} values that are null, NaN or infinite. Lower vision.learning_rate."
        )
        return Verdict(False, problem, facts)
    first, last = float(losses["value"][0]), float(losses["value"][-1])
    facts |= {"first_loss": first, "last_loss": last}
    if losses.height == 1:
        message = f"train_loss is {first:.4g}: whether it falls cannot be judged from one epoch."
        return Verdict(True, message, facts)
    went = f"train_loss went from {first:.4g} to {last:.4g} in {losses.height} epochs"
    if last < first:
        return Verdict(True, f"{went}.", facts)
    return Verdict(
        False, f"{went}, expected to fall. Change vision.learning_rate, or look at factors.", facts
    )


def _vectors(embeddings: pl.DataFrame) -> Matrix:
    """`features` as float32 (n, d); what is not finite stays, since it is judged.

    They come as lists where models of several lengths share the table.
    """
    column = embeddings["features"]
    flat = column.explode(empty_as_null=False, keep_nulls=True).to_numpy()
    return flat.astype(np.float32).reshape(len(column), -1 if len(flat) else 0)


def _distinct(vectors: Matrix) -> Matrix:
    """The first of equal rows, in their order."""
    # Digests are compared, since sorting rows of a thousand floats takes seconds.
    positive_zero = np.ascontiguousarray(vectors + np.float32(0))
    first = {
        hashlib.blake2b(row.data, digest_size=16).digest(): index
        for index, row in reversed(list(enumerate(positive_zero)))
    }
    return vectors[sorted(first.values())]
