"""The map's data as compact text: numbers as base64 of little-endian integers, words as lists."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cf_pipeline.gallery.colours import NONE, PALETTE, cluster_colours
from cf_pipeline.gallery.content import ClusterCard, CoverMap, Label
from cf_pipeline.gallery.pictures import Atlas

NOBODY = 65_535
"""Where there is no neighbour, no cluster and no field."""
N_NEIGHBOURS = 10


def packed(
    covers: CoverMap,
    labels: Mapping[str, Label],
    cards: Sequence[ClusterCard],
    pictures: Atlas,
) -> dict[str, Any]:
    """What the map's script reads, for JSON.

    Args:
        covers: n covers, 65,535 at most.
        labels: of each of them.
        cards: words of each cluster.
        pictures: their tiles.

    Returns:
        Plain JSON types. `x` and `y` are shares of 65,535, `ours` and `imagenet` hold
        N_NEIGHBOURS rows of the covers for each, NOBODY where there are fewer.
    """
    fields = sorted({f for id_ in covers.project_ids if (f := labels[id_].field) is not None})
    row_of = {id_: row for row, id_ in enumerate(covers.project_ids)}
    field_of = {name: row for row, name in enumerate(fields)}
    said = [labels[id_] for id_ in covers.project_ids]
    places = np.round(covers.places * 65_535)
    colours = cluster_colours(covers.clusters, covers.places)
    known = {card.cluster: card for card in cards}
    return {
        "ids": list(covers.project_ids),
        "titles": [label.title for label in said],
        "fields": fields,
        "field": shorts([NOBODY if s.field is None else field_of[s.field] for s in said]),
        "x": shorts(places[:, 0]),
        "y": shorts(places[:, 1]),
        "cluster": shorts([NOBODY if c is None else c for c in covers.clusters]),
        "clusters": {
            str(number): {
                "colour": colour,
                "words": list(known[number].words) if number in known else [],
            }
            for number, colour in colours.items()
        },
        "palette": list(PALETTE),
        "none": NONE,
        "ours": shorts(_rows(covers.project_ids, covers.ours, row_of)),
        "imagenet": shorts(_rows(covers.project_ids, covers.imagenet, row_of)),
        "sizes": octets([size for pair in pictures.sizes for size in pair]),
        "side": pictures.side,
        "columns": pictures.columns,
        "rows": pictures.rows,
        "sheets": list(pictures.uris),
    }


def shorts(numbers: npt.ArrayLike) -> str:
    """Integers from 0 to 65,535 as text, two bytes each."""
    return _text(np.asarray(numbers).astype("<u2").ravel())


def octets(numbers: npt.ArrayLike) -> str:
    """Integers from 0 to 255 as text, a byte each."""
    return _text(np.asarray(numbers).astype("u1").ravel())


def _text(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _rows(
    ids: Sequence[str], neighbours: Mapping[str, tuple[str, ...]], row_of: Mapping[str, int]
) -> npt.NDArray[np.int64]:
    table = np.full((len(ids), N_NEIGHBOURS), NOBODY, dtype=np.int64)
    for row, id_ in enumerate(ids):
        found = [row_of[near] for near in neighbours[id_] if near in row_of][:N_NEIGHBOURS]
        table[row, : len(found)] = found
    return table
