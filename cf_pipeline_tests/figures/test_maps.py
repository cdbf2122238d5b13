"""Maps of covers, and neighbours by features: readable, below 100 KB, whatever is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from cf_pipeline.figures.embedded import drawn_at, feature_pictures, side_by_side
from cf_pipeline.figures.maps import covers_on_a_map

MISSING = "#d5d9dc"
RED, BLUE = "#c03020", "#2040c0"


@pytest.fixture
def covers(tmp_path: Path) -> pl.DataFrame:
    """Forty red ones and forty blue ones, of two shapes."""
    rows = []
    for number in range(80):
        path = tmp_path / f"{number:02d}.png"
        Image.new("RGB", (60, 90) if number % 2 else (90, 60), RED if number < 40 else BLUE).save(
            path
        )
        rows.append({"project_id": f"p{number:02d}", "path": str(path)})
    return pl.DataFrame(rows)


@pytest.fixture
def features(covers: pl.DataFrame) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(80, 6)) + np.where(np.arange(80) < 40, 5, -5)[:, np.newaxis]
    return covers.select("project_id").with_columns(
        features=pl.Series(vectors.astype(np.float32), dtype=pl.Array(pl.Float32, 6))
    )


def test_covers_lie_at_their_places(look, share, covers: pl.DataFrame) -> None:
    paths = [Path(path) for path in covers["path"]]
    x = np.where(np.arange(80) < 40, 0.1, 0.9)
    places = np.stack([x, np.linspace(0, 1, 80)], axis=1).astype(np.float32)
    pixels = look(covers_on_a_map(paths, places, "two sides"))
    left, right = np.array_split(pixels, 2, axis=1)
    assert share(left, RED) > 0.02 > share(left, BLUE)
    assert share(right, BLUE) > 0.02 > share(right, RED)


def test_a_cover_that_is_gone_is_a_grey_tile(look, share, tmp_path: Path) -> None:
    gone = [tmp_path / "nowhere.png"] * 3
    places = np.array([[0, 0], [0.5, 0.5], [1, 1]], dtype=np.float32)
    assert share(look(covers_on_a_map(gone, places, "gone")), MISSING, within=4) > 0.001
    look(covers_on_a_map([], np.zeros((0, 2), dtype=np.float32), "nothing"))


def test_features_as_pictures(look, share, covers: pl.DataFrame, features: pl.DataFrame) -> None:
    drawn = feature_pictures(features, covers, "blobs")
    assert list(drawn) == ["neighbours", "map"]
    for png in drawn.values():
        pixels = look(png)
        assert share(pixels, RED) > 0.01
        assert share(pixels, BLUE) > 0.01
    again = feature_pictures(features, covers, "blobs", mapped=0)
    assert again == {"neighbours": drawn["neighbours"]}


def test_a_single_cover(look, covers: pl.DataFrame, features: pl.DataFrame) -> None:
    for png in feature_pictures(features.head(1), covers, "one").values():
        look(png)


def test_a_map_that_is_laid_out_already(look, share, covers: pl.DataFrame) -> None:
    places = covers.select("project_id", x=pl.lit(0.5), y=pl.int_range(pl.len()) / 80)
    assert share(look(drawn_at(places, covers, "a column")), BLUE) > 0.005


def test_spaces_side_by_side(look, share, covers: pl.DataFrame) -> None:
    """Only what has a place in every space is asked; what has no cover is drawn as missing."""
    rows = [
        {"feature_set": space, "project_id": asked, "rank": rank, "neighbour_id": near}
        for space in ("ours", "theirs")
        for asked in ("p01", "p02")
        for rank, near in ((1, "p41"), (2, "no cover"))
        if (space, asked) != ("theirs", "p02")
    ]
    pixels = look(side_by_side(pl.DataFrame(rows), covers, ("ours", "theirs")))
    assert share(pixels, BLUE) > 0.005
    assert share(pixels, MISSING, within=4) > 0.005
