"""What the script reads is what was there."""

from __future__ import annotations

import base64
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cf_pipeline.errors import DataError
from cf_pipeline.gallery import pictures
from cf_pipeline.gallery.colours import PALETTE, cluster_colours
from cf_pipeline.gallery.content import Gallery
from cf_pipeline.gallery.packing import NOBODY, packed
from cf_pipeline.gallery.pictures import Atlas, atlas, thumbnails
from cf_pipeline_tests.gallery.world import draw_covers, pictured


def numbers(text: str, type_: str = "<u2") -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=type_)


def test_there_and_back(content: Gallery) -> None:
    _, tiles = pictured(content)
    data = packed(content.map, content.labels, content.clusters, tiles)
    covers = content.map
    places = np.stack([numbers(data["x"]), numbers(data["y"])], axis=1) / 65_535
    assert np.allclose(places, covers.places, atol=1e-4)
    clusters = [None if c == NOBODY else int(c) for c in numbers(data["cluster"])]
    assert clusters == list(covers.clusters)
    assert [data["fields"][f] for f in numbers(data["field"])] == ["round"] * 120
    for space in ("ours", "imagenet"):
        rows = numbers(data[space]).reshape(120, 10)
        for id_, row in zip(covers.project_ids, rows, strict=True):
            near = tuple(covers.project_ids[other] for other in row)
            assert near == getattr(covers, space)[id_]
    assert tuple(map(tuple, numbers(data["sizes"], "u1").reshape(-1, 2).tolist())) == tiles.sizes


def test_fewer_neighbours_and_those_off_the_map(content: Gallery) -> None:
    ours = {**content.map.ours, "p000": ("elsewhere", "p004")}
    covers = dataclasses.replace(content.map, ours=ours)
    _, tiles = pictured(content)
    data = packed(covers, content.labels, content.clusters, tiles)
    assert numbers(data["ours"])[:10].tolist() == [4] + [NOBODY] * 9


def at(tiles: Atlas, row: int) -> Image.Image:
    """A cover as the script would cut it out."""
    sheet, place = divmod(row, tiles.columns * tiles.rows)
    down, across = divmod(place, tiles.columns)
    width, height = tiles.sizes[row]
    left = across * tiles.side + (tiles.side - width) // 2
    top = down * tiles.side + (tiles.side - height) // 2
    with Image.open(io.BytesIO(tiles.sheets[sheet])) as image:
        return image.convert("RGB").crop((left, top, left + width, top + height))


@pytest.mark.parametrize("most_across", [16_383, 300])
def test_every_cover_is_where_the_atlas_says(tmp_path: Path, most_across: int) -> None:
    paths = list(draw_covers(tmp_path / "covers", 50).values())
    tiles = atlas(paths, most_across=most_across)
    assert len(tiles.sheets) == (1 if most_across > 10_000 else 4)
    for row, path in enumerate(paths):
        with Image.open(path) as image:
            wanted = image.resize(tiles.sizes[row], Image.Resampling.LANCZOS)
        apart = np.abs(np.asarray(wanted, dtype=int) - np.asarray(at(tiles, row), dtype=int))
        assert apart.mean() < 6


def test_an_atlas_too_large_is_coarser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = list(draw_covers(tmp_path / "covers", 30).values())
    fine = sum(map(len, atlas(paths).sheets))
    monkeypatch.setattr(pictures, "ATLAS_BYTES", fine - 1)
    assert sum(map(len, atlas(paths).sheets)) < fine


def test_thumbnails_keep_their_shape_and_their_order(tmp_path: Path) -> None:
    paths = draw_covers(tmp_path / "covers", 6)
    Image.new("RGBA", (960, 320), (0, 0, 0, 0)).save(paths["p000"])
    small = thumbnails(paths, n_threads=2)
    assert list(small) == list(paths)
    assert [each.number for each in small.values()] == list(range(6))
    assert (small["p000"].width, small["p000"].height) == (96, 32)
    with Image.open(io.BytesIO(small["p000"].webp)) as image:
        assert image.format == "WEBP"
        assert image.getextrema() == ((255, 255),) * 3
    paths["p001"].unlink()
    with pytest.raises(DataError, match=r"p001\.png"):
        thumbnails(paths)


def test_clusters_that_lie_together_differ_in_colour() -> None:
    clusters = [number for number in range(12) for _ in range(3)]
    line = np.repeat(np.arange(12, dtype=np.float32), 3)
    places = np.stack([line, np.zeros_like(line)], axis=1)
    chosen = cluster_colours([*clusters, None], np.concatenate([places, [[0, 0]]]))
    assert sorted(chosen) == list(range(12))
    assert set(chosen.values()) == set(range(len(PALETTE)))
    for number in range(11):
        assert chosen[number] != chosen[number + 1]
    assert cluster_colours([None, None], places[:2]) == {}
