"""A search drawn: numbers of any size, whole ones, and words."""

import numpy as np
import polars as pl

from cf_pipeline.figures.search import search_slices
from cf_pipeline.figures.style import BLUE, GREY, ORANGE


def test_trials_the_configured_and_the_best_are_drawn(look, share):
    rng = np.random.default_rng(0)
    value = rng.uniform(0.1, 0.3, 30)
    trials = pl.DataFrame({
        "trial": np.arange(30),
        "regularization": 10 ** rng.uniform(-3, 0, 30),
        "n_factors": rng.choice([32, 64], 30),
        "drawn": rng.choice(["popularity", "uniform"], 30),
        "value": value,
        "low": value - 0.01,
        "high": value + 0.01,
    }).sort("value", descending=True)
    pixels = look(search_slices(trials, ["regularization", "n_factors", "drawn"], "ndcg_at_100"))
    for color in (BLUE, GREY, ORANGE):
        assert share(pixels, color) > 0.0001
