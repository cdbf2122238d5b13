"""A search through settings: what each value of a setting came to."""

from __future__ import annotations

import polars as pl

from cf_pipeline.figures.style import BLUE, GREY, ORANGE, label, legend, log_ticks, new_figure, png


def search_slices(trials: pl.DataFrame, settings: list[str], metric: str) -> bytes:
    """One panel a setting: every trial's value against the setting's, the best one marked.

    Args:
        trials: `trial, value, low, high` and a column for every setting, best first; trial 0 is
            what was configured.
        settings: columns to draw, fractions on a logarithmic axis.
        metric: what the value is.

    Returns:
        PNG bytes.
    """
    figure, panels = new_figure(0.8 + 3.1 * len(settings), 3.2, len(settings))
    marked = ((GREY, "configured", trials.filter(trial=0)), (ORANGE, "best", trials.head(1)))
    for axes, setting in zip(panels, settings, strict=True):
        tried = trials[setting].unique().sort()
        if tried.dtype.is_float():
            log_ticks(axes, "x")
        elif tried.dtype.is_integer():
            axes.set_xticks(tried.to_list())
        axes.plot(trials[setting], trials["value"], ".", color=BLUE, alpha=0.6, markersize=5)
        for color, name, row in marked:
            bars = [row["value"] - row["low"], row["high"] - row["value"]]
            axes.errorbar(
                row[setting].to_list(), row["value"].to_list(), bars,
                fmt="o", color=color, label=name, markersize=5, linewidth=1.2,
            )  # fmt: skip
        label(axes, setting.replace("_", " "), setting, metric)
    legend(panels[0])
    return png(figure)
