"""What is shown, by rules that leave nothing to taste: failures stand beside successes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from cf_pipeline.benchmark.queries import NDCG, WITHIN_STRATUM
from cf_pipeline.gallery.content import Misplacements, PlacedTwice
from cf_pipeline.metrics.keyed import id_keys
from cf_pipeline.models.misplaced import distances
from cf_pipeline.retrieval.exact import ExactSearch
from cf_pipeline.vectors import IndexedVectors, Matrix

N_QUERIES = 4
"""Of the best, of those in the middle, of the worst."""
N_FARTHEST, N_NEAREST = 12, 4
N_PLACED = 5
"""Train covers shown at a place."""


def primary_measure(scores: pl.DataFrame) -> str:
    """What choices go by: nDCG at 10, within strata where there are any.

    Args:
        scores: `measure, n_queries` of `similarity_scores`.
    """
    within = scores.filter(pl.col("measure") == NDCG + WITHIN_STRATUM, pl.col("n_queries") > 0)
    return NDCG + WITHIN_STRATUM if within.height else NDCG


def judged_splits(splits: pl.DataFrame, seen: pl.DataFrame) -> dict[str, str]:
    """Split of each project; a test project that a network of the chain has seen is `seen`.

    A project may be in the test half today that was not when an earlier network was trained, whose
    weights this one continues.

    Args:
        splits: `project_id, split`.
        seen: `project_id`, what the network or one that it continues was fitted to or chosen on.
    """
    is_seen = pl.col("project_id").is_in(seen["project_id"].implode())
    told = pl.when(is_seen & (pl.col("split") == "test")).then(pl.lit("seen"))
    return dict(splits.select("project_id", told.otherwise(pl.col("split"))).iter_rows())


def split_sizes(placed: Iterable[str], splits: Mapping[str, str]) -> dict[str, int]:
    """How many of some projects each split has; those known from events alone are in none."""
    return dict(Counter(splits[project] for project in placed if project in splits))


def picked_queries(
    values: pl.DataFrame, n: int = N_QUERIES, seed: int = 0
) -> dict[str, tuple[str, ...]]:
    """The best, the median and the worst queries.

    Args:
        values: `project_id, value`.
        n: how many of each; of fewer than 3 n queries the best are taken first, then the worst.
        seed: with the id it orders queries of one value.

    Returns:
        `best`, `median` and `worst` to project ids, each in order of falling value; no id twice.
    """
    keys = id_keys(values["project_id"].to_list(), seed)
    ordered = values.with_columns(key=pl.Series(keys)).sort(-pl.col("value"), "key")
    ids = ordered["project_id"].to_list()
    best, rest = ids[:n], ids[n:]
    worst = rest[max(0, len(rest) - n) :]
    between = rest[: len(rest) - len(worst)]
    start = max(0, (len(between) - n) // 2)
    median = between[start : start + n]
    return {"best": tuple(best), "median": tuple(median), "worst": tuple(worst)}


def nearest_of(
    neighbours: pl.DataFrame, space: str, ids: Sequence[str], known: Mapping[str, object]
) -> dict[str, tuple[str, ...]]:
    """What lies nearest to some projects in a space, as far as it has a cover to show.

    Args:
        neighbours: `feature_set, project_id, rank, neighbour_id`.
        space: the feature set.
        ids: whose neighbours are wanted; one without any gets none.
        known: ids that can be shown.
    """
    wanted = neighbours.filter(
        pl.col("feature_set") == space,
        pl.col("project_id").is_in(list(ids)),
        pl.col("neighbour_id").is_in(list(known)),
    )
    lists = wanted.sort("rank").group_by("project_id").agg("neighbour_id")
    found = {project: tuple(near) for project, near in lists.iter_rows()}
    return {project: found.get(project, ()) for project in ids}


def misplacements(
    predicted: IndexedVectors, actual: IndexedVectors, train: IndexedVectors, seed: int = 0
) -> Misplacements:
    """Held-out covers by the distance between the place predicted and the place they have.

    All three in one space, the train mean taken away.

    Args:
        predicted: of held-out covers, from their pixels, shape (n, k).
        actual: of the same, from what people did, shape (m, k). Those that have both are judged.
        train: covers to show at a place, shape (t, k).
        seed: orders what is equally far.
    """
    has = set(predicted.ids)
    ids = tuple(project for project in actual.ids if project in has)
    ours, theirs = predicted.rows(ids), actual.rows(ids)
    apart = distances(ours, theirs)
    order = np.lexsort((id_keys(ids, seed), -apart))
    farthest = order[:N_FARTHEST]
    nearest = order[N_FARTHEST:][::-1][:N_NEAREST]
    shown = np.concatenate([farthest, nearest]).astype(np.int64)
    search = ExactSearch.of(train, seed)
    near = [_lying_at(search, places[shown]) for places in (ours, theirs)]
    cards = [
        PlacedTwice(ids[row], float(apart[row]), near[0][place], near[1][place])
        for place, row in enumerate(shown)
    ]
    return Misplacements(
        tuple(apart.tolist()), tuple(cards[: len(farthest)]), tuple(cards[len(farthest) :])
    )


def _lying_at(search: ExactSearch, places: Matrix) -> list[tuple[str, ...]]:
    found = search.nearest(places, N_PLACED).rows
    return [tuple(search.ids[row] for row in rows if row >= 0) for rows in found]
