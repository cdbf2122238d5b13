"""Defaults, recipe, budget, choices: who wins, what they mean together, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cf_pipeline.configuration import choices as module
from cf_pipeline.configuration.choices import (
    SECTIONS,
    Choices,
    Configuration,
    budget_names,
    configuration_hash,
    recipe_names,
    resolve,
)
from cf_pipeline.errors import ConfigError

RECIPE = """
description = "for tests"

[vision]
epochs = 5
crop_area = 0.5
batch_size = 5
dropout = 0.5
backbone = { name = "resnet_small", weights = "random" }

[budget.demo.vision]
crop_area = 0.6
dropout = 0.6

[budget.full]
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of recipes with one in it, `ladder`."""
    (tmp_path / "ladder.toml").write_text(RECIPE)
    monkeypatch.setattr(module, "RECIPES", tmp_path)


@pytest.mark.usefixtures("recipe")
def test_each_layer_wins_over_the_one_below() -> None:
    def vision(budget: str, **chosen: object) -> tuple[object, ...]:
        fields = {f"vision.{name}": value for name, value in chosen.items()}
        found = resolve(Choices(recipe="ladder", budget=budget, set=fields)).vision
        return found.epochs, found.crop_area, found.batch_size, found.dropout, found.augment

    assert vision("full") == (5, 0.5, 5, 0.5, True)
    assert vision("demo") == (5, 0.6, 5, 0.6, True)
    assert vision("demo", dropout=0.1, batch_size=8) == (5, 0.6, 8, 0.1, True)


@pytest.mark.usefixtures("recipe")
def test_a_setting_is_laid_over_the_method_of_the_recipe_and_another_method_replaces_it() -> None:
    def backbone(*assignments: str) -> dict[str, object]:
        chosen = Choices(recipe="ladder", budget="full").with_assignments(assignments)
        return dict(resolve(chosen).value("vision.backbone"))

    assert backbone() == {"name": "resnet_small", "weights": "random"}
    assert backbone("vision.backbone.weights=/a") == {"name": "resnet_small", "weights": "/a"}
    other = {"name": "efficientnet_lite0", "weights": None}
    assert backbone("vision.backbone=efficientnet_lite0") == other


def test_nothing_said_is_the_default_recipe_and_demo_spends_less() -> None:
    configuration = resolve(Choices())
    assert (configuration.recipe, configuration.budget) == ("modern", "full")
    assert configuration.dataset == module.DEFAULT_DATASET
    assert configuration.dataset.is_file()
    assert resolve(Choices(budget="demo")).vision.epochs < configuration.vision.epochs


@pytest.mark.parametrize("name", recipe_names())
def test_every_word_of_a_shipped_recipe_is_known(name: str) -> None:
    """Layers are laid over each other by known names, so a misspelled one would be silent."""
    recipe = tomllib.loads((module.RECIPES / f"{name}.toml").read_text())
    assert set(budget_names(name)) == {"demo", "full"}
    for budget in budget_names(name):
        for sections in (recipe, recipe["budget"][budget]):
            for section in sections.keys() - {"description", "budget"}:
                known = Configuration.model_fields[section].annotation.model_fields
                assert sections[section].keys() <= known.keys()
        resolve(Choices(recipe=name, budget=budget))
    assert recipe["description"]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (
            {"recipe": "moderm"},
            r"recipe 'moderm' is not one of \['modern', 'paper2015', 'talk2015'\]",
        ),
        ({"recipe": "../modern"}, r"is not one of"),
        ({"budget": "huge"}, r"budget 'huge' is not one of \['demo', 'full'\]"),
        ({"set": {"visoin.epochs": 3}}, r"unknown configuration key 'visoin.epochs'. Did you mean"),
        ({"set": {"vision.epoch": 3}}, r"Did you mean vision.epochs"),
        ({"set": {"vision": 3}}, r"unknown configuration key 'vision'"),
        ({"set": {"vision.epochs.more": 3}}, r"Did you mean vision.epochs"),
        ({"set": {"zzz.qqq": 3}}, r"unknown configuration key 'zzz.qqq'. Known: covers.max_pixels"),
        ({"set": {"benchmark.tasks": {}}}, r"set one, as benchmark.tasks.NAME=VALUE"),
        ({"set": {"vision.epochs": -1}}, r"vision.epochs: .* greater than or equal to 0, got -1"),
        ({"set": {"vision.dropout": "much"}}, r"vision.dropout: .* valid number.*got 'much'"),
        ({"set": {"split.test": 0.9}}, r"split: .*validation \+ split.test must be below 1"),
        ({"set": {"split.folds": 5, "split.fold": 7}}, r"split.fold must be below split.folds = 5"),
        ({"set": {"resources.training": "thread"}}, r"'child' or 'same', got 'thread'"),
    ],
)
def test_what_cannot_be_resolved_is_named(choices: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(Choices(**choices))  # type: ignore[arg-type]


def test_a_hash_does_not_depend_on_order() -> None:
    one = configuration_hash({"a": 1, "b": {"c": 2, "d": [1, 2]}})
    assert one == configuration_hash({"b": {"d": [1, 2], "c": 2}, "a": 1})
    others = [{"a": 1, "b": {"c": 2, "d": [2, 1]}}, {"a": "1", "b": {"c": 2, "d": [1, 2]}}, {}]
    assert len({one, *map(configuration_hash, others)}) == 4
    assert len(one) == 16


def test_every_field_is_listed_with_its_meaning_and_found_by_its_key() -> None:
    configuration = resolve(Choices(set={"vision.epochs": 3}))
    listed = {key: value for key, value, _ in configuration.fields()}
    assert listed["vision.epochs"] == configuration.value("vision.epochs") == 3
    assert {key.partition(".")[0] for key in listed} == set(SECTIONS)
    for section in SECTIONS:
        fields = {key for key in listed if key.startswith(f"{section}.") and key.count(".") == 1}
        values = {key.partition(".")[2]: configuration.value(key) for key in fields}
        assert configuration.value(section) == values
        assert configuration.held(section) is getattr(configuration, section)
    assert all(meaning for _, _, meaning in configuration.fields())


def test_what_is_not_there_is_named_with_what_is() -> None:
    configuration = resolve(Choices(set={"vision.objective": "contrastive"}))
    for unknown in ("visions", "vision.epoch", "vision.objective.weigth", "vision.epochs.a"):
        for asked in (configuration.value, configuration.held):
            with pytest.raises(ConfigError, match=f"unknown configuration key '{unknown}'"):
                asked(unknown)
    with pytest.raises(ConfigError, match=r"Did you mean vision.objective.weight"):
        configuration.value("vision.objective.weigth")


def test_nothing_is_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        resolve(Choices()).vision.epochs = 3
    with pytest.raises(ValueError, match="frozen"):
        resolve(Choices()).vision.objective.weight = 3
    with pytest.raises(ValueError, match="frozen"):
        resolve(Choices()).budget = "demo"


def test_threads_are_those_asked_for_or_the_cores_at_hand() -> None:
    assert resolve(Choices(set={"resources.threads": 3})).resources.n_threads == 3
    assert resolve(Choices()).resources.n_threads == len(os.sched_getaffinity(0))


def test_resolving_imports_nothing_heavy() -> None:
    """Every command resolves, and the daemon does so every few seconds."""
    code = (
        "import sys\n"
        "from cf_pipeline.configuration.choices import Choices, resolve\n"
        "resolve(Choices(set={'vision.objective': 'regression'}))\n"
        "heavy = {'torch', 'timm', 'torchvision', 'implicit', 'sklearn', 'matplotlib', 'wandb'}\n"
        "print(sorted({*heavy, 'dagster', 'duckdb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
