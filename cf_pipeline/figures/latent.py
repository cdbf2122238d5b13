"""The latent space in two panels: what its dimensions carry, and whether length is popularity."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from cf_pipeline.figures.style import (
    BLUE,
    ORANGE,
    label,
    log_ticks,
    new_figure,
    png,
    say_empty,
    whole_numbers,
)

Floats = npt.NDArray[np.float64]
_DOTS = 5000
"""At most so many projects are drawn; more make the picture large and no clearer."""
_LOWEST = 0.01
"""Share of projects that may lie below the axis, where they lie far below."""


def latent_space(singular_values: Floats, lengths: Floats, degrees: npt.NDArray[np.int64]) -> bytes:
    """Spectrum, and lengths of projects' factors against their users, both axes logarithmic.

    Args:
        singular_values: of the factorized matrix, largest first, shape (k,).
        lengths: shape (n_projects,).
        degrees: users of each project, shape (n_projects,).

    Returns:
        PNG bytes.
    """
    figure, (spectrum, norms) = new_figure(9.2, 3.5, 2)
    dimension = np.arange(1, len(singular_values) + 1)
    spectrum.plot(dimension, singular_values, color=BLUE, marker=".", linewidth=1.2)
    log_ticks(spectrum, "y")
    whole_numbers(spectrum.xaxis)
    label(spectrum, "Spectrum", "dimension", "singular value of users x projects")
    label(norms, "Length and popularity", "users of a project", "length of its factors")
    seen = (degrees > 0) & (lengths > 0)
    if not seen.any():
        say_empty(norms)
        return png(figure)
    log_ticks(norms)
    order = np.argsort(degrees[seen], kind="stable")
    x, y = degrees[seen][order], lengths[seen][order]
    step = -(-len(x) // _DOTS)
    norms.plot(x[::step], y[::step], ".", color=BLUE, markersize=3, alpha=0.35)
    edges = np.unique(np.geomspace(x[0], x[-1] + 1, 13).astype(np.int64))
    groups = [y[(x >= a) & (x < b)] for a, b in itertools.pairwise(edges)]
    centres = np.sqrt(edges[:-1] * np.maximum(edges[1:] - 1, edges[:-1]))
    medians = [(c, np.median(g)) for c, g in zip(centres, groups, strict=True) if len(g)]
    norms.plot(*zip(*medians, strict=True), color=ORANGE, linewidth=1.8, marker="o", markersize=3)
    # Factors that are all but zero would take the axis for themselves.
    lowest = np.quantile(y, _LOWEST) / 2
    norms.set_ylim(bottom=lowest)
    if n_below := int((y < lowest).sum()):
        norms.set_xlabel(f"users of a project ({n_below:,} shorter ones are not shown)")
    return png(figure)
