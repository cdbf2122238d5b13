"""Vectors of covers and labelled images: by which feature sets, and for what changed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from cf_pipeline.baselines.color import Color
from cf_pipeline.baselines.feature_set import FeatureSet
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.models import task_features as module
from cf_pipeline.models.extraction import embedded_by, simple_sets
from cf_pipeline.models.task_features import task_baselines, task_features
from cf_pipeline.vectors import Matrix, Progress, silent
from cf_pipeline.vision.covers import open_cover
from cf_pipeline.vision.devices import Execution
from cf_pipeline_tests.models.trained_home import TrainedHome, empty

SMALL = {
    "vision.backbone": "resnet_small",
    "vision.image_size": 16,
    "baselines.imagenet.backbone": "resnet_small",
    "baselines.imagenet.backbone.weights": "random",
    "baselines.imagenet.image_size": 16,
    "resources.threads": 1,
}
ASKED: list[str] = []
"""Files that Side was asked for."""


class Side(FeatureSet):
    """A feature set from outside: how large a picture is."""

    name: str = "user:side"

    def extract(
        self, paths: Sequence[Path], execution: Execution, progress: Progress = silent
    ) -> Matrix:
        ASKED.extend(path.name for path in paths)
        sides = [open_cover(path).size for path in paths]
        progress(len(paths), len(paths), {})
        return np.array(sides, dtype=np.float32)


@pytest.fixture
def pictures(trained: TrainedHome, tmp_path: Path) -> list[Path]:
    """Three pictures, the last one a copy of the first, and a home with small networks."""
    ASKED.clear()
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path, side in zip(paths, (20, 24, 20), strict=True):
        Image.new("RGB", (side, side), (200, side, 0)).save(path)
    extra = {"baselines.extra": [f"{__name__}:Side"]}
    Choices(set={**SMALL, **extra}).write(trained.home.config_path)
    return paths


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cover(trained: TrainedHome, paths: Sequence[Path]) -> None:
    """A project per picture, and one whose cover cannot be read."""
    said = dict.fromkeys(("width", "height", "format", "reason", "look_group", "look_component"))
    rows = [
        {"project_id": path.stem, "path": str(path), "sha256": sha256(path), "status": "ok", **said}
        for path in paths
    ]
    broken = {"project_id": "z", "path": "z.png", "sha256": None, "status": "missing", **said}
    types = dict.fromkeys(("format", "reason", "look_group", "look_component"), pl.String)
    frame = pl.DataFrame([*rows, broken], schema_overrides=types)
    trained.publish("covers", covers=frame.cast({"width": pl.Int64, "height": pl.Int64}))


def test_an_untrained_network_has_the_shape_and_input_of_the_trained_one() -> None:
    chosen = Choices(set={**SMALL, "vision.fit": "pad", "baselines.random.seed": 3})
    random, color = simple_sets(resolve(chosen))
    assert random.model_dump() == {
        "name": "random",
        "seed": 3,
        "backbone": {"name": "resnet_small", "weights": None},
        "image_size": 16,
        "fit": "pad",
    }
    assert color == Color()


def test_only_bytes_that_are_new_are_embedded_again(
    trained: TrainedHome, pictures: list[Path]
) -> None:
    cover(trained, pictures[:2])
    side = resolve(Choices.read(trained.home.config_path)).baselines.extra[0]
    assert side.name == f"{__name__}:Side"

    def embed(reusable: bool = True) -> tuple[pl.DataFrame, int]:
        stage = trained.stage("simple_embeddings", reusable=reusable)
        table, n_computed = embedded_by(stage, side)
        rows = table.with_columns(pl.col("features").cast(pl.List(pl.Float32)))
        trained.publish("simple_embeddings", simple_embeddings=rows)
        return table, n_computed

    table, n_computed = embed()
    assert table.columns == ["project_id", "sha256", "features", "feature_set"]
    assert n_computed == 2
    assert table["features"].to_list() == [[20, 20], [24, 24]]
    # A project more whose cover is known, and one cover with other bytes.
    Image.new("RGB", (30, 30)).save(pictures[1])
    cover(trained, pictures)
    ASKED.clear()
    table, n_computed = embed()
    assert (n_computed, ASKED) == (1, ["b.png"])
    assert table.sort("project_id")["features"].to_list() == [[20, 20], [30, 30], [20, 20]]
    # What other code or settings wrote is no use.
    assert embed(reusable=False)[1] == 2


def test_labelled_images_by_every_feature_set_and_by_each_model(
    trained: TrainedHome, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def of_model(stage: object, what: str, model: str) -> object:
        def extract(paths: Sequence[Path]) -> tuple[Matrix, ...]:
            asked.append((model, len(paths)))
            return tuple(np.full((len(paths), d), 0.5, np.float32) for d in (4, 2))

        return extract

    monkeypatch.setattr(module, "model_extractor", of_model)
    images = pl.DataFrame([
        {
            "task": "toys",
            "image_id": path.name,
            "path": str(path),
            "sha256": sha256(path),
            "label": "a",
            "labels": ["a"],
            "split": "train",
            "look_component": None,
        }
        for path in pictures[:2]
    ]).cast({"look_component": pl.String})

    # Their projects have vectors of the user's; a set that lacks one is no set of this task.
    cover(trained, pictures[:2])
    brought = pl.DataFrame(
        [("a", "user:own", [1.0]), ("b", "user:own", [2.0]), ("a", "user:half", [3.0])],
        schema={"project_id": str, "feature_set": str, "features": pl.List(pl.Float32)},
        orient="row",
    ).with_columns(sha256=pl.lit("00"), in_place_of_covers=pl.lit(value=False))
    none = empty("user_embeddings_rejected")
    trained.publish("user_embeddings", user_embeddings=brought, **none)

    def given(rows: pl.DataFrame) -> None:
        others = ("benchmark_tasks_rejected", "benchmark_task_draws", "benchmark_task_facts")
        trained.publish("benchmark_tasks", benchmark_tasks=rows, **empty(*others))

    def embed(model: str) -> tuple[pl.DataFrame, int]:
        table, n_computed = task_features(trained.stage("task_embeddings"), model)
        trained.publish("task_embeddings", model, task_embeddings=table)
        return table, n_computed

    def embed_others() -> tuple[pl.DataFrame, int]:
        table, n_computed = task_baselines(trained.stage("task_baseline_embeddings"))
        trained.publish("task_baseline_embeddings", task_baseline_embeddings=table)
        return table, n_computed

    given(images)
    table, n_computed = embed_others()
    sets = {"imagenet", "imagenet_levels", "random", "color", f"{__name__}:Side"}
    assert set(table["feature_set"]) == {*sets, "user:own"}
    assert table.height == 2 * (len(sets) + 1)
    assert table.filter(feature_set="user:own")["features"].to_list() == [[1.0], [2.0]]
    assert n_computed == 2 * (len(sets) - 1)  # both of ImageNet's come of one pass
    again, n_computed = embed_others()
    assert (n_computed, again.equals(table)) == (0, True)
    # Of each model its own vectors, once.
    assert [embed(model)[1] for model in ("m1", "m2", "m2")] == [2, 2, 0]
    assert asked == [("m1", 2), ("m2", 2)]
    ours = embed("m1")[0]
    assert set(ours["feature_set"]) == {"collaborative", "predicted_factors"}
    assert (ours.height, set(ours["model_version"])) == (4, {"m1"})
    # Without a task there is nothing, in columns that can be written.
    given(images.clear())
    assert [(rows.height, n) for rows, n in (embed("m2"), embed_others())] == [(0, 0)] * 2
