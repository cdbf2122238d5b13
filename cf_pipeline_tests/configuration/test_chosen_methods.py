"""Fields that hold a method: named, given settings, replaced, written by hand, and refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from cf_pipeline.benchmark.task_loaders.labels_csv import LabelsCsv
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.errors import ConfigError

NOTO = LabelsCsv(folder="data/noto_emoji")
BUNDLED = {"noto_emoji", "openclipart_fields"}
ELSEWHERE = {
    "caltech101", "wikiart7", "flickr_style", "wikipaintings", "ava_style", "caltech256"
}  # fmt: skip
SHIPPED = BUNDLED | ELSEWHERE


def value(key: str, *assignments: str) -> Any:
    return resolve(Choices().with_assignments(assignments)).value(key)


def test_methods_are_named_with_their_settings_below() -> None:
    fields = {key: held for key, held, _ in resolve(Choices()).fields()}
    assert fields["vision.backbone"] == "efficientnet_lite0"
    assert fields["vision.backbone.weights"] is None
    assert fields["vision.objective"] == "regression"
    assert fields["vision.objective.length"] == 0.5
    assert fields["factorization.method"] == "als"
    assert fields["factorization.method.n_iterations"] == 20
    assert fields["baselines.imagenet"] == "imagenet"
    assert fields["baselines.imagenet.backbone"] == "efficientnet_lite0"
    assert fields["baselines.imagenet.backbone.weights"] is None
    assert (fields["baselines.color.bins"], fields["baselines.random.seed"]) == (4, 0)
    assert fields["baselines.extra"] == []
    assert set(fields["benchmark.tasks"]) == SHIPPED
    assert fields["benchmark.tasks"]["noto_emoji"] == NOTO.model_dump(mode="json")
    # The name stands at the method's own key, and at no other.
    assert not [key for key in fields if key.endswith(".name")]


def test_a_setting_is_of_the_method_that_is_chosen() -> None:
    method = value("factorization.method", "factorization.method.n_iterations=3")
    assert (method["name"], method["n_iterations"], method["solver"]) == ("als", 3, "cg")
    table = value("vision.objective", 'vision.objective={name = "contrastive", weight = 0.5}')
    assert (table["weight"], table["temperature"]) == (0.5, 0.1)
    imagenet = value("baselines.imagenet", "baselines.imagenet.backbone=timm:resnet18")
    assert imagenet["backbone"] == {"name": "timm:resnet18", "weights": None}
    assert imagenet["image_size"] == 192


def test_another_method_drops_the_settings_of_its_predecessor() -> None:
    chosen = Choices().with_assignments([
        "vision.objective=contrastive",
        "vision.objective.temperature=0.2",
        "vision.backbone.weights=random",
    ])
    other = chosen.with_assignments(["vision.objective=regression"])
    kept = {"vision.backbone.weights": "random"}
    assert other.set == {"vision.objective": "regression", **kept}
    assert resolve(other).value("vision.objective") == {"name": "regression", "length": 0.5}
    # However the method is written.
    for written in ("vision.objective.name=regression", 'vision.objective={name = "regression"}'):
        assert chosen.with_assignments([written]) == other
    assert chosen.without("vision.objective").set == kept
    assert chosen.without("vision.objective.temperature").set == {
        "vision.objective": "contrastive",
        **kept,
    }


def test_a_method_and_its_settings_are_a_table_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assignments = ["vision.backbone=resnet_small", "vision.backbone.weights=random"]
    chosen = Choices().with_assignments([*assignments, "vision.epochs=2"])
    chosen.write(path)
    assert tomllib.loads(path.read_text())["vision"] == {
        "epochs": 2,
        "backbone": {"name": "resnet_small", "weights": "random"},
    }
    assert Choices.read(path) == chosen
    # By hand and in another order it is the same.
    for text in (
        '[vision]\nepochs = 2\nbackbone = {weights = "random", name = "resnet_small"}\n',
        'vision.backbone.weights = "random"\nvision.epochs = 2\n'
        'vision.backbone.name = "resnet_small"\n',
    ):
        path.write_text(text)
        assert Choices.read(path) == chosen
    later = Choices.read(path).with_assignments(["vision.backbone=efficientnet_lite0"])
    assert later.set == {"vision.backbone": "efficientnet_lite0", "vision.epochs": 2}


def test_resolving_leaves_the_choices_as_they_were() -> None:
    table = {"name": "contrastive", "temperature": 0.3}
    chosen = Choices(set={"vision.objective.weight": 2.0, "vision.objective": table})
    assert resolve(chosen).vision.objective.model_dump() == {
        **table,
        "weight": 2.0,
        "target_temperature": 0.1,
        "popularity_correction": 1.0,
    }
    assert table == {"name": "contrastive", "temperature": 0.3}


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["vision.objective=contrstive"], "no objective 'contrstive'. Did you mean 'contrastive'"),
        (["vision.objective=3"], "objective: expected a name, or a table with `name`, got 3"),
        (
            ["factorization.method=svd"],
            "no factorizer 'svd'. Expected one of als, sampled_mf, or a class",
        ),
        (["vision.backbone=resnet"], "timm:<model>, torchvision:<model>, or a class by path"),
        (
            ["vision.objective=regression", "vision.objective.temperature=0.2"],
            "objective 'regression', temperature: .* got 0.2. Its settings: length",
        ),
        (
            ["vision.objective=contrastive", "vision.objective.temprature=0.2"],
            "temprature: .* Its settings: weight, temperature, target_temperature",
        ),
        (["factorization.method.n_iterations=0"], "factorizer 'als', n_iterations: .* got 0"),
        (["benchmark.tasks.mine=labels_csv"], "task loader 'labels_csv', folder: Field required"),
        (["benchmark.tasks.mine.folder=x"], "task loader: expected a name, or a table with"),
        (["benchmark.tasks.a.b=x"], "task loader: expected a name, or a table with `name`, got"),
        (['baselines.extra=["no_such_set"]'], "there is no feature set 'no_such_set'"),
        (['baselines.extra=["random"]'], "names, random comes twice. Derive a class of your own"),
    ],
)
def test_a_method_that_is_none_or_has_no_such_setting(assignments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(Choices().with_assignments(assignments))


@pytest.mark.parametrize(
    "assignments",
    [
        ["benchmark.tasks.mine=/pictures"],
        ["benchmark.tasks.mine=labels_csv", "benchmark.tasks.mine.folder=/pictures"],
        ["benchmark.tasks.mine.name=labels_csv", "benchmark.tasks.mine.folder=/pictures"],
        ['benchmark.tasks.mine={name = "labels_csv", folder = "/pictures"}'],
    ],
)
def test_a_task_is_added_to_those_that_ship(assignments: list[str]) -> None:
    tasks = resolve(Choices().with_assignments(assignments)).benchmark.tasks
    assert set(tasks) == {*SHIPPED, "mine"}
    assert (tasks["noto_emoji"], tasks["mine"]) == (NOTO, LabelsCsv(folder="/pictures"))
    # The default of the model is nobody's to change.
    assert set(resolve(Choices()).benchmark.tasks) == SHIPPED


def test_a_task_that_ships_may_lie_elsewhere() -> None:
    elsewhere = value("benchmark.tasks", "benchmark.tasks.openclipart_fields=/elsewhere")
    wanted = LabelsCsv(folder="/elsewhere").model_dump(mode="json")
    assert elsewhere["openclipart_fields"] == wanted
    below = value("benchmark.tasks", "benchmark.tasks.openclipart_fields.min_per_class=3")
    assert below["openclipart_fields"]["file"] == "projects.parquet"
    assert below["openclipart_fields"]["min_per_class"] == 3


def test_what_may_lie_elsewhere_is_asked_for_and_not_demanded() -> None:
    tasks = resolve(Choices()).benchmark.tasks
    assert {name for name, loader in tasks.items() if loader.optional} == ELSEWHERE
    folders = {name: loader.model_dump()["folder"] for name, loader in tasks.items()}
    assert all(folders[name] == f"${{CF_PIPELINE_DATASETS}}/{name}" for name in ELSEWHERE)
    loaders = {tasks[name].name for name in ELSEWHERE - {"caltech101", "wikiart7"}}
    assert loaders == {"flickr_style", "wikipaintings_artgan", "ava_style", "caltech"}


def test_a_task_that_ships_is_left_out_by_false() -> None:
    assert set(value("benchmark.tasks", "benchmark.tasks.wikiart7=false")) == SHIPPED - {"wikiart7"}


def test_a_folder_that_begins_with_a_variable_is_put_in_when_it_is_read() -> None:
    folder = "${ELSEWHERE}/pictures"
    tasks = value("benchmark.tasks", f"benchmark.tasks.mine={folder}")
    assert tasks["mine"]["folder"] == folder


def test_what_the_network_leaves_open_is_the_backbones_own() -> None:
    def schedule(*assignments: str) -> tuple[int, float]:
        found = resolve(Choices().with_assignments(assignments)).vision.schedule
        return found.image_size, found.learning_rate

    assert schedule() == (192, 3e-4)
    assert schedule("vision.backbone=resnet_small") == (80, 3e-3)
    assert schedule("vision.backbone=resnet_small", "vision.image_size=32") == (32, 3e-3)
