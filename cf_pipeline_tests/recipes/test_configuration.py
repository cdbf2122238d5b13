"""Defaults, recipe, budget, the layer for training from scratch, choices: who wins, who is told."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cf_pipeline.errors import ConfigError
from cf_pipeline.recipes import configuration as module
from cf_pipeline.recipes.configuration import (
    SECTIONS,
    Choices,
    Configuration,
    budget_names,
    configuration_hash,
    recipe_names,
    resolve,
)

RECIPE = """
description = "for tests"

[vision]
epochs = 5
patience = 5
batch_size = 5
dropout = 0.5

[budget.demo.vision]
patience = 6
batch_size = 6
dropout = 0.6

[scratch.vision]
batch_size = 7
dropout = 0.7

[scratch.budget.demo.vision]
dropout = 0.8

[budget.full]
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recipes with one in it, `ladder`."""
    path = tmp_path / "ladder.toml"
    path.write_text(RECIPE)
    monkeypatch.setattr(module, "RECIPES", tmp_path)
    return path


def ladder(budget: str = "demo", **chosen: object) -> Configuration:
    fields = {f"vision.{name}": value for name, value in chosen.items()}
    return resolve(Choices(recipe="ladder", budget=budget, set=fields))


def test_each_layer_wins_over_the_one_below(recipe: Path) -> None:
    vision = ladder().vision
    defaults = Configuration.model_fields["vision"].default
    assert vision.learning_rate == defaults.learning_rate
    assert (vision.epochs, vision.patience, vision.batch_size, vision.dropout) == (5, 6, 6, 0.6)
    scratch = ladder(init="scratch").vision
    assert (scratch.patience, scratch.batch_size, scratch.dropout) == (6, 7, 0.8)
    chosen = ladder(init="scratch", dropout=0.1, patience=9).vision
    assert (chosen.patience, chosen.batch_size, chosen.dropout) == (9, 7, 0.1)
    full = ladder("full", init="scratch").vision
    assert (full.patience, full.batch_size, full.dropout) == (5, 7, 0.7)


def test_a_recipe_that_is_from_scratch_has_its_layer_too(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("[vision]\n", '[vision]\ninit = "scratch"\n'))
    assert ladder().vision.dropout == 0.8
    assert ladder(init="pretrained").vision.dropout == 0.6


def test_nothing_said_is_the_default_recipe() -> None:
    configuration = resolve(Choices())
    assert (configuration.recipe, configuration.budget) == ("modern", "full")
    assert configuration.dataset == module.DEFAULT_DATASET
    assert configuration.dataset.is_file()


def test_demo_spends_less_than_full() -> None:
    for init in ("pretrained", "scratch"):
        chosen = {"vision.init": init}
        demo, full = (resolve(Choices(budget=b, set=chosen)).vision for b in ("demo", "full"))
        assert demo.epochs < full.epochs
    assert resolve(Choices(set={"vision.init": "scratch"})).vision.image_size != (
        resolve(Choices()).vision.image_size
    )


@pytest.mark.parametrize("name", recipe_names())
def test_every_word_of_a_shipped_recipe_is_known(name: str) -> None:
    """Layers are laid over each other by known names, so a misspelled one would be silent."""
    recipe = tomllib.loads((module.RECIPES / f"{name}.toml").read_text())
    layers = [recipe, recipe.get("scratch", {})]
    for layer in layers:
        for budget in budget_names(name):
            for sections in (layer, layer.get("budget", {}).get(budget, {})):
                meta = {"description", "budget", "scratch"} if sections is layer else set()
                for section in sections.keys() - meta:
                    known = Configuration.model_fields[section].annotation.model_fields
                    assert sections[section].keys() <= known.keys()
    for budget in budget_names(name):
        for init in ("pretrained", "scratch"):
            resolve(Choices(recipe=name, budget=budget, set={"vision.init": init}))
    assert set(budget_names(name)) == {"demo", "full"}
    assert recipe["description"]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"recipe": "moderm"}, r"recipe 'moderm' is not one of \['modern'\]"),
        ({"recipe": "../modern"}, r"is not one of"),
        ({"budget": "huge"}, r"budget 'huge' is not one of \['demo', 'full'\]"),
        ({"set": {"visoin.epochs": 3}}, r"unknown configuration key 'visoin.epochs'. Did you mean"),
        ({"set": {"vision.epoch": 3}}, r"Did you mean vision.epochs"),
        ({"set": {"vision": 3}}, r"unknown configuration key 'vision'"),
        ({"set": {"vision.epochs.more": 3}}, r"Did you mean vision.epochs"),
        ({"set": {"zzz.qqq": 3}}, r"unknown configuration key 'zzz.qqq'. Known: covers.max_pixels"),
        ({"set": {"benchmark.tasks": {}}}, r"set one, as benchmark.tasks.NAME=VALUE"),
        ({"set": {"benchmark.tasks.a.b": "x"}}, r"set one, as benchmark.tasks.NAME=VALUE"),
        ({"set": {"vision.epochs": 0}}, r"vision.epochs: .* greater than or equal to 1, got 0"),
        ({"set": {"vision.init": "random"}}, r"vision.init: .*'pretrained' or 'scratch'"),
        ({"set": {"vision.dropout": "much"}}, r"vision.dropout: .* valid number.*got 'much'"),
        ({"set": {"split.test": 0.9}}, r"split: .*validation \+ split.test must be below 1"),
    ],
)
def test_what_cannot_be_resolved_is_named(choices: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(Choices(**choices))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("vision.epochs=40", 40),
        ("vision.epochs = 40 ", 40),
        ("vision.dropout=1e-3", 1e-3),
        ("vision.augment=false", False),
        ("vision.init=scratch", "scratch"),
        ('vision.init="scratch"', "scratch"),
        ("vision.weights=/a/b=c.safetensors", "/a/b=c.safetensors"),
        ("tracking.project=2026 spring", "2026 spring"),
        ('tracking.project="7"', "7"),
        ("benchmark.tasks.mine=/data/mine", "/data/mine"),
    ],
)
def test_assignments_are_toml_or_text(assignment: str, value: object) -> None:
    [(key, parsed)] = Choices().with_assignments([assignment]).set.items()
    assert (key, parsed) == (assignment.partition("=")[0].strip(), value)
    assert type(parsed) is type(value)
    resolve(Choices().with_assignments([assignment]))


def test_an_assignment_is_one_value_and_no_more() -> None:
    with pytest.raises(ConfigError, match=r"vision.epochs"):
        resolve(Choices().with_assignments(["vision.epochs=1\nvalue2 = 3"]))


@pytest.mark.parametrize("assignment", ["vision.epochs", "", "40"])
def test_an_assignment_without_equals(assignment: str) -> None:
    with pytest.raises(ConfigError, match=r"expected key=value, as vision.epochs=40"):
        Choices().with_assignments([assignment])


def test_the_last_assignment_holds_and_others_stay() -> None:
    chosen = Choices(set={"split.seed": 3}).with_assignments(["split.seed=4", "split.seed=5"])
    chosen = chosen.with_assignments(["vision.epochs=2"])
    assert chosen.set == {"split.seed": 5, "vision.epochs": 2}


def test_a_task_is_added_to_those_that_ship() -> None:
    tasks = resolve(Choices(set={"benchmark.tasks.mine": "data/mine"})).benchmark.tasks
    assert tasks == {"noto_emoji": "data/noto_emoji", "mine": "data/mine"}
    tasks = resolve(Choices(set={"benchmark.tasks.noto_emoji": "elsewhere"})).benchmark.tasks
    assert tasks == {"noto_emoji": "elsewhere"}
    # The default of the model is nobody's to change.
    assert resolve(Choices()).benchmark.tasks == {"noto_emoji": "data/noto_emoji"}


def test_taking_a_choice_back() -> None:
    chosen = Choices(budget="demo", set={"split.seed": 3, "vision.epochs": 2})
    assert chosen.without("split.seed").set == {"vision.epochs": 2}
    assert chosen.without("budget").budget == "full"
    assert chosen.without("budget").set == chosen.set
    message = "split.test was not chosen; choices made: budget, split.seed, vision.epochs"
    with pytest.raises(ConfigError, match=message):
        chosen.without("split.test")
    with pytest.raises(ConfigError, match="recipe was not chosen; choices made: none"):
        Choices().without("recipe")


VALUES = {
    "vision.epochs": st.integers(1, 10**9),
    "vision.dropout": st.floats(0, 0.99),
    "vision.augment": st.booleans(),
    "vision.weights": st.text(st.characters(codec="utf-8"), max_size=20),
    "tracking.project": st.text(st.characters(codec="utf-8"), max_size=20),
    "benchmark.tasks.mine": st.text(st.characters(codec="utf-8"), max_size=20),
    "benchmark.tasks.other-1": st.text(max_size=3, alphabet="ab /\\'\""),
}


@given(
    chosen=st.fixed_dictionaries({}, optional=VALUES),
    dataset=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, chosen: dict[str, object], dataset: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "config.toml"
    choices = Choices(dataset=dataset, budget="demo", set=chosen)
    choices.write(path)
    assert Choices.read(path) == choices


def test_a_file_that_is_not_there_chooses_nothing(tmp_path: Path) -> None:
    assert Choices.read(tmp_path / "config.toml") == Choices()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    Choices(set={"vision.epochs": 3}).write(path)
    Choices(set={"split.seed": 3}).write(path)
    assert Choices.read(path).set == {"split.seed": 3}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vision.epochs = ", "config.toml is not TOML"),
        ("dataset = 3", "config.toml: dataset: .*valid string"),
    ],
)
def test_a_file_that_was_spoilt_by_hand(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        Choices.read(path)


@pytest.mark.parametrize("text", ["nonsense = 3", "[vision]\nepoch = 3", "[set]\nx = 3"])
def test_a_key_that_was_written_by_hand_and_is_not_known(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="unknown configuration key"):
        resolve(Choices.read(path))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"config.toml is not TOML"):
        Choices.read(path)


def test_a_hash_does_not_depend_on_order() -> None:
    one = configuration_hash({"a": 1, "b": {"c": 2, "d": [1, 2]}})
    assert one == configuration_hash({"b": {"d": [1, 2], "c": 2}, "a": 1})
    others = [{"a": 1, "b": {"c": 2, "d": [2, 1]}}, {"a": "1", "b": {"c": 2, "d": [1, 2]}}, {}]
    assert len({one, *map(configuration_hash, others)}) == 4
    assert len(one) == 16


def test_values_are_plain_and_complete() -> None:
    configuration = resolve(Choices(set={"vision.epochs": 3}))
    listed = {key: value for key, value, _ in configuration.fields()}
    assert listed["vision.epochs"] == configuration.value("vision.epochs") == 3
    assert {key.partition(".")[0] for key in listed} == set(SECTIONS)
    for section in SECTIONS:
        of_section = configuration.value(section)
        assert of_section == {
            key.partition(".")[2]: configuration.value(key)
            for key in listed
            if key.startswith(f"{section}.")
        }
    assert all(info.description for _, _, info in configuration.fields())
    for unknown in ("visions", "vision.epoch"):
        with pytest.raises(ConfigError, match="Did you mean vision"):
            configuration.value(unknown)


def test_nothing_is_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        resolve(Choices()).vision.epochs = 3
    with pytest.raises(ValueError, match="frozen"):
        resolve(Choices()).budget = "demo"


def test_threads() -> None:
    assert resolve(Choices(set={"resources.threads": 3})).resources.n_threads == 3
    assert resolve(Choices()).resources.n_threads == len(os.sched_getaffinity(0))


def test_training_has_a_process_of_its_own_unless_told_otherwise() -> None:
    assert resolve(Choices()).resources.training == "child"
    same = Choices().with_assignments(["resources.training=same"])
    assert resolve(same).resources.training == "same"
    with pytest.raises(ConfigError, match=r"resources.training: .*'child' or 'same', got 'thread'"):
        resolve(Choices(set={"resources.training": "thread"}))


@pytest.mark.parametrize(
    "key", ["vision.weights", "baselines.imagenet_weights", "benchmark.tasks.noto_emoji"]
)
def test_chosen_paths_are_absolute_from_where_they_were_chosen(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = Choices().with_assignments([f"{key}=somewhere/file"])
    assert chosen.set[key] == str(tmp_path / "somewhere" / "file")
