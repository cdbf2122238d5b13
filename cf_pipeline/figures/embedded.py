"""Features as pictures of covers: where they lie, and what lies nearest to what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from cf_pipeline.figures.maps import covers_on_a_map
from cf_pipeline.figures.panels import retrieval_panel
from cf_pipeline.metrics.keyed import id_keys
from cf_pipeline.retrieval.exact import ExactSearch
from cf_pipeline.retrieval.layout import laid_out
from cf_pipeline.vectors import IndexedVectors, indexed

MAPPED = 1000
"""Covers of a map that is laid out for its picture: three seconds."""
_QUERIES, _NEIGHBOURS = 6, 8


def feature_pictures(
    features: pl.DataFrame, covers: pl.DataFrame, name: str, *, mapped: int = MAPPED
) -> dict[str, bytes]:
    """A map of some covers, and the nearest of a few, by cosine of features less their mean.

    Args:
        features: `project_id, features`, of one length.
        covers: `project_id, path` of readable covers.
        name: of the features, for titles.
        mapped: at most so many covers are laid out; 0: no map is drawn.

    Returns:
        PNG by name: `neighbours` and, where one is drawn, `map`.
    """
    vectors = indexed(features, "project_id", "features")
    # Activations are positive, so without their mean taken away everything is near everything.
    centred = IndexedVectors(vectors.ids, vectors.vectors - vectors.vectors.mean(axis=0))
    paths = _paths(covers)
    shown = {"neighbours": _neighbours(centred, paths, name)}
    if mapped:
        places = laid_out(centred, most=mapped)
        title = _map_title(len(places.ids), len(vectors.ids), name)
        files = [paths[project] for project in places.ids]
        shown["map"] = covers_on_a_map(files, places.vectors, title)
    return shown


def drawn_at(places: pl.DataFrame, covers: pl.DataFrame, name: str) -> bytes:
    """Covers of a map that is laid out already, a thousand at most by keys of their ids.

    Args:
        places: `project_id, x, y`, from 0 to 1.
        covers: `project_id, path`.
        name: of the features that it is by.
    """
    ids = places["project_id"].to_list()
    kept = np.sort(np.argsort(id_keys(ids, 0), kind="stable")[:MAPPED])
    paths = _paths(covers)
    xy = places.select("x", "y").to_numpy().astype(np.float32)[kept]
    title = _map_title(len(kept), len(ids), name)
    return covers_on_a_map([paths[ids[row]] for row in kept], xy, title)


def side_by_side(
    neighbours: pl.DataFrame, covers: pl.DataFrame, spaces: Sequence[str], n_queries: int = 4
) -> bytes:
    """A few covers with their nearest, a row for each space.

    Args:
        neighbours: `feature_set, project_id, rank, neighbour_id`.
        covers: `project_id, path`.
        spaces: feature sets, in this order; projects that have a place in all of them are shown.
        n_queries: how many, by keys of their ids.

    Returns:
        PNG bytes.
    """
    paths = _paths(covers)
    known = neighbours.filter(pl.col("project_id").is_in(list(paths)))
    asked = known.group_by("project_id").agg(pl.col("feature_set").n_unique())
    asked = asked.filter(feature_set=len(spaces))
    ids = sorted(asked["project_id"].to_list())
    queries = [ids[row] for row in np.argsort(id_keys(ids, 0), kind="stable")[:n_queries]]
    rows, captions = [], []
    for query in queries:
        for space in spaces:
            found = known.filter(feature_set=space, project_id=query).sort("rank")
            near = [paths.get(id_, Path(id_)) for id_ in found["neighbour_id"].to_list()]
            rows.append([paths[query], *near])
            captions.append(f"{space}: {query}")
    return retrieval_panel(rows, captions, "Queries (left) and their nearest, a row for each space")


def _neighbours(vectors: IndexedVectors, paths: Mapping[str, Path], name: str) -> bytes:
    search = ExactSearch.of(vectors)
    asked = np.argsort(search.keys, kind="stable")[:_QUERIES].astype(np.int64)
    found = search.nearest(search.unit[asked], _NEIGHBOURS, own=asked)
    rows, captions = [], []
    for query, near, cosines in zip(asked, found.rows, found.cosines, strict=True):
        ids = [vectors.ids[row] for row in (query, *near[near >= 0])]
        rows.append([paths[project] for project in ids])
        said = f"cosine {cosines[0]:.2f} to {np.nanmin(cosines):.2f}: " if len(ids) > 1 else ""
        captions.append(f"{said}{ids[0]}")
    return retrieval_panel(rows, captions, f"Covers (left) and their nearest by {name}")


def _map_title(n_shown: int, n_covers: int, name: str) -> str:
    return f"{n_shown:,} of {n_covers:,} covers by {name}, t-SNE"


def _paths(covers: pl.DataFrame) -> dict[str, Path]:
    return {project: Path(path) for project, path in covers.select("project_id", "path").rows()}
