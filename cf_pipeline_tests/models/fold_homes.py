"""What a fold's run leaves in its home, written by hand."""

from __future__ import annotations

import polars as pl

from cf_pipeline.storage.home import Home
from cf_pipeline_tests.models.trained_home import QUERIES, TrainedHome

FEATURE_SETS = {
    "color": 0.4,
    "imagenet": 0.5,
    "imagenet_ridge": 0.6,
    "imagenet_levels_ridge": 0.65,
    "collaborative": 0.7,
}
MEASURE = "triplet_accuracy"


def ran_fold(home: Home) -> str:
    """An older model and the newest, which chose `collaborative`; returns the newest's version.

    Four test projects a fold, in two groups, named by the fold that the home is of.
    """
    trained = TrainedHome(home)
    for seed, value in ((1, 0.1), (2, 0.0)):
        model = trained.train(seed)
        rows = [
            (split, name, MEASURE, f"{split} {home.path.name}-{number}", number // 2, level + value)
            for split in ("validation", "test")
            for name, level in FEATURE_SETS.items()
            for number in range(4)
        ]
        trained.score(model, 0.7, pl.DataFrame(rows, schema=QUERIES, orient="row"))
    return model
