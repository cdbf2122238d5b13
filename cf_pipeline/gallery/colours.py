"""Colours of clusters: eight that colour-blind eyes tell apart, so that neighbours differ.

Okabe, Ito 2008 (without black and grey), and Tol's wine. A map has more clusters than an eye has
colours, so a colour stands for several, and those far apart share it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cf_pipeline.vectors import Matrix

PALETTE = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#f0e442",
    "#882255",
)
NONE = "#9aa3ab"
"""Of covers that lie in no cluster."""


def cluster_colours(clusters: Sequence[int | None], places: Matrix) -> dict[int, int]:
    """A colour for every cluster, by its place in PALETTE.

    Clusters choose in the order of their numbers, each the colour whose bearers are farthest from
    it on the map.

    Args:
        clusters: of each cover, shape (n,); None: it lies in none.
        places: of each cover, shape (n, 2).
    """
    centres: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = {}
    for number in sorted({each for each in clusters if each is not None}):
        members = [row for row, each in enumerate(clusters) if each == number]
        centres[number] = np.median(places[members], axis=0)
    chosen: dict[int, int] = {}
    for number, centre in centres.items():
        free = {
            colour: min(
                (
                    float(np.linalg.norm(centres[other] - centre))
                    for other, theirs in chosen.items()
                    if theirs == colour
                ),
                default=float("inf"),
            )
            for colour in range(len(PALETTE))
        }
        chosen[number] = max(free, key=lambda colour: free[colour])
    return chosen
