"""Keys of release 0.1.0 are read as those of today, and it is said."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.configuration.moved import MOVED, moved

OLD = """\
dataset = "/data/dataset.toml"
recipe = "modern"
budget = "demo"

[vision]
contrastive_weight = 0.5
epochs = 7
init = "scratch"
objective = "contrastive"
target_temperature = 0.3
temperature = 0.2

[factorization]
n_factors = 32
n_iterations = 5
regularization = 0.01

[baselines]
color_bins = 8
imagenet_fit = "pad"
imagenet_image_size = 64
imagenet_model = "timm:resnet18"
imagenet_weights = "/weights/resnet18.pth"
seed = 3

[benchmark.tasks]
mine = "/data/mine"

[promotion]
keep = 2
tolerance = 0.1
"""


def test_a_home_of_0_1_0_means_what_it_meant(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(OLD)
    with caplog.at_level(logging.INFO, "cf_pipeline"):
        read = Choices.read(path)
    found = {key: value for key, value, _ in resolve(read).fields()}
    expected = {
        "vision.backbone": "resnet_small",
        "vision.epochs": 7,
        "vision.objective": "contrastive",
        "vision.objective.weight": 0.5,
        "vision.objective.temperature": 0.2,
        "vision.objective.target_temperature": 0.3,
        "factorization.method": "als",
        "factorization.method.regularization": 0.01,
        "factorization.method.n_iterations": 5,
        "factorization.n_factors": 32,
        "baselines.color.bins": 8,
        "baselines.imagenet.backbone": "timm:resnet18",
        "baselines.imagenet.backbone.weights": "/weights/resnet18.pth",
        "baselines.imagenet.image_size": 64,
        "baselines.imagenet.fit": "pad",
        "baselines.random.seed": 3,
        "promotion.keep": 2,
    }
    assert {key: found[key] for key in expected} == expected
    mine = found["benchmark.tasks"]["mine"]
    assert (mine["name"], mine["folder"]) == ("labels_csv", "/data/mine")
    said = [record.getMessage() for record in caplog.records]
    assert (
        f"{path}: vision.init of an earlier release is read as vision.backbone = resnet_small"
        in (said)
    )
    aside = "promotion.tolerance of an earlier release has no place any more and is left aside"
    assert f"{path}: {aside}" in said
    assert len(said) == sum(1 for key in MOVED if f"\n{key.split('.')[1]} = " in OLD)
    # Written again, the file is today's and there is nothing left to say.
    read.write(path)
    caplog.clear()
    with caplog.at_level(logging.INFO, "cf_pipeline"):
        assert Choices.read(path) == read
    assert caplog.messages == []


def test_every_place_is_a_key_of_today() -> None:
    # The objective of 0.1.0, whose settings those are.
    chosen = Choices(set={"vision.objective": "contrastive"})
    today = {key for key, _, _ in resolve(chosen).fields()}
    assert {place for place in MOVED.values() if place} <= today
    assert not MOVED.keys() & today


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"vision.init": "pretrained"}, {"vision.backbone": "efficientnet_lite0"}),
        (
            {"vision.init": "pretrained", "vision.weights": "/a"},
            {"vision.backbone": "efficientnet_lite0", "vision.backbone.weights": "/a"},
        ),
        # What 0.1.0 left unread beside these two would be read, or refused, now.
        ({"vision.init": "scratch", "vision.weights": "/a"}, {"vision.backbone": "resnet_small"}),
        (
            {"vision.objective": "regression", "vision.temperature": 0.2},
            {"vision.objective": "regression"},
        ),
        ({"vision.epochs": 3}, {"vision.epochs": 3}),
    ],
)
def test_what_was_chosen_together(chosen: dict[str, object], expected: dict[str, object]) -> None:
    assert moved(chosen)[0] == expected
