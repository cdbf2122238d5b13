"""The talk's four benchmarks as they lie on disk, from small files to scores."""

from __future__ import annotations

import colorsys
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from cf_pipeline.defs.running import run_pipeline
from cf_pipeline.models.catalogue import warehouse_of
from cf_pipeline.models.scoreboards import scores_of, talk_board
from cf_pipeline.storage.home import Home
from cf_pipeline.synthetic.planted import plant
from cf_pipeline_tests.end_to_end.planted_run import small_choices
from cf_pipeline_tests.end_to_end.test_extending import WORLD, defs

HUES = (0.0, 0.33, 0.66)
DOUBLED = "fr\u00fchling".encode().decode("latin-1")
SIDES = {"train": 12, "test": 6}
"""Pictures of each class."""


def draw(file: Path, hues: Sequence[float], seed: int) -> None:
    """Stripes of some hues with noise over them; grey without any."""
    rng = np.random.default_rng(seed)
    stripes = [colorsys.hsv_to_rgb(hue, 0.9, 0.8) for hue in hues] or [(0.5, 0.5, 0.5)]
    columns = np.repeat(np.array(stripes), -(-32 // len(stripes)), axis=0)[:32]
    pixels = columns + rng.normal(0, 0.08, (32, 32, 3))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8)).save(file)


def numbered() -> list[tuple[int, int, str]]:
    """Number of a picture, its class, and its side."""
    sides = [side for side, n in SIDES.items() for _ in range(n)]
    return [
        (len(sides) * label + row, label, side)
        for label in range(len(HUES))
        for row, side in enumerate(sides)
    ]


def flickr_style(folder: Path) -> None:
    rows = [",image_url,page_url,label,_split"]
    for number, label, side in numbered():
        name = f"{number}_ab.jpg"
        rows.append(
            f"{number},http://farm2.static.com/1/{name},http://p.com/{number},{label},{side}"
        )
        draw(folder / "images" / name, [HUES[label]], number)
    rows.append("9999,http://farm2.static.com/1/9999_gone.jpg,http://p.com/9999,1,train")
    (folder / "flickr_style.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))


def wikipaintings(folder: Path) -> None:
    lists: dict[str, list[str]] = {"train": [], "test": []}
    styles = ("Art_Nouveau_Modern", "Baroque", "Cubism")
    for number, label, side in numbered():
        name = f"{styles[label]}/{DOUBLED}_{number}.jpg"
        lists[side].append(f"{name},{label + 3}\r\n")
        there = name.replace(DOUBLED, "fr\u00fchling")
        draw(folder / there, [HUES[label]], 100 + number)
    for side, file in (("train", "style_train.csv"), ("test", "style_val.csv")):
        (folder / file).write_bytes("".join(lists[side]).encode())


def ava_style(folder: Path) -> None:
    lists = folder / "style_image_lists"
    lists.mkdir(parents=True)
    (lists / "styles.txt").write_text("1 Duotones\n2 HDR\n3 Macro\n")
    train, test = [], []
    for number, label, side in numbered():
        both = side == "test" and number % 3 == 0
        labels = [] if number == 17 else sorted({label, (label + 1) % 3} if both else {label})
        draw(folder / f"images/{number}.jpg", [HUES[n] for n in labels], 200 + number)
        row = (str(number), " ".join(str(int(n in labels)) for n in range(3)))
        (train if side == "train" else test).append((row, str(label + 1)))
    (lists / "train.jpgl").write_text("".join(f"{row[0]}\n" for row, _ in train))
    (lists / "train.lab").write_text("".join(f"{label}\n" for _, label in train))
    (lists / "test.jpgl").write_text("".join(f"{row[0]}\n" for row, _ in test))
    (lists / "test.multilab").write_text("".join(f"{row[1]}\n" for row, _ in test))


def caltech256(folder: Path) -> None:
    root = folder / "256_ObjectCategories"
    names = ("001.ak47", "056.dog", "198.spider")
    for number, label, _ in numbered():
        draw(
            root / names[label] / f"{names[label][:3]}_{number:04}.jpg", [HUES[label]], 300 + number
        )
    draw(root / "257.clutter/257_0001.jpg", [0.5], 0)
    draw(root / "056.dog/greg/056_9999.jpg", [0.5], 0)


def shuffled(folder: Path) -> None:
    """Caltech's pictures, other noise over them, with labels that are none of theirs."""
    labels = np.random.default_rng(0).permutation([label for _, label, _ in numbered()])
    lines = ["path,label,split"]
    for (number, label, side), other in zip(numbered(), labels, strict=True):
        draw(folder / f"{number}.png", [HUES[label]], 400 + number)
        lines.append(f"{number}.png,label {other},{side}")
    (folder / "labels.csv").write_text("\n".join(lines))


LAYOUTS = {
    "flickr_style": (flickr_style, "flickr_style", []),
    "wikipaintings": (wikipaintings, "wikipaintings_artgan", []),
    "ava_style": (ava_style, "ava_style", []),
    "caltech256": (caltech256, "caltech", ["train_per_class=8", "n_draws=3"]),
    "shuffled": (shuffled, "labels_csv", []),
}


@pytest.fixture(scope="module")
def scored(place: Path) -> Home:
    home = Home(place / "home")
    home.create()
    world = plant(place / "world", WORLD)
    assignments = ["benchmark.tasks.noto_emoji=false"]
    for task, (write, loader, settings) in LAYOUTS.items():
        write(place / task)
        key = f"benchmark.tasks.{task}"
        assignments += [f"{key}.name={loader}", f"{key}.folder={place / task}"]
        assignments += [f"{key}.{setting}" for setting in settings]
    small_choices(world).with_assignments(assignments).write(home.config_path)
    outcome = run_pipeline(home, defs())
    assert not outcome.failures
    return home


@pytest.mark.slow
def test_every_layout_ends_in_scores_of_every_feature_set(scored: Home) -> None:
    scores = warehouse_of(scored).frame("benchmark_scores")
    rivals = {"random", "color", "imagenet", "imagenet_levels", "metaclass"}
    sets = {*rivals, "collaborative", "predicted_factors"}
    pairs = scores.select("task", "feature_set").unique()
    assert {*pairs.iter_rows()} == {(task, name) for task in LAYOUTS for name in sets}
    counts = scores.select("task", "n_listed", "n_found", "n_used", "n_draws").unique()
    assert {row[0]: row[1:] for row in counts.iter_rows()} == {
        "flickr_style": (55, 54, 54, 1),
        "wikipaintings": (54, 54, 54, 1),
        "ava_style": (54, 54, 54, 1),
        "caltech256": (54, 54, 54, 3),
        "shuffled": (54, 54, 54, 1),
    }
    board = talk_board(scores_of(scored))
    assert board is not None
    assert [row[1].split(",")[0] for row in board.rows] == [*LAYOUTS][:4]
    assert all(cell[0].isdigit() for row in board.rows for cell in row[2:])


@pytest.mark.slow
def test_what_is_separable_is_known_and_what_is_shuffled_is_not(scored: Home) -> None:
    scores = warehouse_of(scored).frame("benchmark_scores").filter(feature_set="color")
    known = scores.filter(metric="mean_class_accuracy")
    values = dict(known.select("task", "value").iter_rows())
    separable = ("flickr_style", "wikipaintings", "caltech256")
    assert [values[task] for task in separable] == [1.0] * 3
    assert known.filter(task="caltech256")["deviation"].item() == 0
    assert scores.filter(task="ava_style", metric="map")["value"].item() > 0.9
    chance = known.filter(task="shuffled").row(0, named=True)
    assert chance["low"] <= 1 / 3 <= chance["high"]


@pytest.mark.slow
def test_meta_classes_are_of_the_other_tasks(scored: Home) -> None:
    warehouse = warehouse_of(scored)
    learned = warehouse.frame("metaclass_embeddings").unique("task")
    trained_on = dict(learned.select("task", "trained_on").iter_rows())
    assert {task: set(of) for task, of in trained_on.items()} == {
        task: {*LAYOUTS} - {task} for task in LAYOUTS
    }
    nodes = warehouse.frame("metaclass_nodes").filter(task="shuffled", node=0)
    assert all(": " in name for name in nodes["classes"][0])
    lengths = learned.select("task", pl.col("features").list.len())
    assert set(lengths["features"]) == {2 * 12 - 2}
    noted = warehouse.frame("benchmark_scores").filter(task="caltech256", metric="accuracy")
    notes = dict(noted.select("feature_set", "note").iter_rows())
    assert "told to the makers of imagenet" in notes["imagenet"]
    assert "ava_style, flickr_style, shuffled, wikipaintings" in notes["metaclass"]
    assert notes["color"] is None
