"""Methods by name: those that ship, a stranger's by path, an installed one, and what is none."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, ValidationError

from cf_pipeline import registry as module
from cf_pipeline.baselines.feature_set import FEATURE_SETS
from cf_pipeline.benchmark.task_loaders.loader import TASK_LOADERS
from cf_pipeline.errors import ConfigError
from cf_pipeline.factorization.factorizer import FACTORIZERS
from cf_pipeline.registry import Method, Registry
from cf_pipeline.vision.backbones.backbone import BACKBONES
from cf_pipeline.vision.objectives.objective import OBJECTIVES

SHIPPED = (BACKBONES, OBJECTIVES, FACTORIZERS, FEATURE_SETS, TASK_LOADERS)
HERE = __name__


class Drink(Method):
    """What the methods of these tests derive from."""


class Tea(Drink):
    name: Literal["tea"] = "tea"
    minutes: float = Field(3, gt=0)


class OfALeaf(Drink):
    """Answers to every name of its prefix, and to its path."""

    name: str
    grams: int = 2


DRINKS = Registry(
    sort="drink",
    base=f"{HERE}:Drink",
    entries={"tea": f"{HERE}:Tea", "coffee": "no_such_module:Coffee"},
    entry_points="tests.drinks",
    prefixes={"leaf": f"{HERE}:OfALeaf"},
)


def test_a_method_is_chosen_by_name_by_table_or_is_one_already() -> None:
    assert DRINKS.choose("tea") == Tea()
    assert DRINKS.choose({"name": "tea", "minutes": 4}) == Tea(minutes=4)
    chosen = Tea(minutes=5)
    assert DRINKS.choose(chosen) is chosen
    with pytest.raises(ValidationError, match="frozen"):
        chosen.minutes = 1


def test_a_prefix_and_a_path_keep_the_name_that_was_chosen() -> None:
    assert DRINKS.choose("leaf:mint") == OfALeaf(name="leaf:mint")
    by_path = f"{HERE}:OfALeaf"
    assert DRINKS.choose({"name": by_path, "grams": 3}) == OfALeaf(name=by_path, grams=3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "te",
            r"no drink 'te'. Did you mean 'tea'\? Expected one of coffee, tea, leaf:<model>, or",
        ),
        ("leaf:", r"there is no drink 'leaf:'"),
        ("branch:mint tea", r"there is no drink 'branch:mint tea'"),
        ("coffee", r"drink 'no_such_module:Coffee' cannot be imported: .* PYTHONPATH"),
        (f"{HERE}:Nothing", r"cannot be imported: .*Nothing"),
        ("pathlib:Path", r"drink 'pathlib:Path' is .*, expected a class that derives from .*Drink"),
        (f"{HERE}:SHIPPED", r"expected a class that derives from"),
        (None, r"drink: expected a name, or a table with `name`, got None"),
        ({"minutes": 3}, r"drink: expected a name, or a table with `name`, got \{'minutes': 3\}"),
        ({"name": "tea", "sugar": 1}, r"drink 'tea', sugar: .*, got 1. Its settings: minutes"),
        ({"name": "tea", "minutes": 0}, r"drink 'tea', minutes: .*greater than 0, got 0"),
    ],
)
def test_what_is_no_method_is_named_with_what_is(value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DRINKS.choose(value)


def test_a_method_is_imported_when_it_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from cf_pipeline_tests.test_registry import Drink\nclass Juice(Drink):\n    pass\n"
    (tmp_path / "my_bar.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    assert DRINKS.path("my_bar:Juice") == "my_bar:Juice"
    assert "my_bar" not in sys.modules
    assert DRINKS.choose("my_bar:Juice").name == "my_bar:Juice"
    assert sys.modules.pop("my_bar")


def test_an_installed_package_announces_its_own_by_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        metadata.EntryPoint("infusion", f"{HERE}:OfALeaf", "tests.drinks"),
        metadata.EntryPoint("tea", f"{HERE}:Drink", "tests.drinks"),
    ]
    monkeypatch.setattr(module, "_entry_points", lambda group: iter(points))
    assert DRINKS.names() == ["coffee", "infusion", "tea"]
    assert DRINKS.choose("infusion") == OfALeaf(name="infusion")
    # What ships keeps its word.
    assert DRINKS.find("tea") is Tea


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda registry: registry.sort)
def test_what_ships_can_be_chosen_and_says_what_its_settings_mean(shipped: Registry) -> None:
    module_of_base, _, base = shipped.base.partition(":")
    assert issubclass(getattr(importlib.import_module(module_of_base), base), Method)
    for name in shipped.entries:
        method = shipped.find(name)
        assert method.model_fields["name"].default == name
        assert method.__doc__
        for setting, info in method.model_fields.items():
            assert setting == "name" or info.description, f"{name}.{setting}"
    for prefix in shipped.prefixes or {}:
        assert shipped.choose(f"{prefix}:anything").name == f"{prefix}:anything"


def test_groups_of_entry_points_are_those_that_the_documentation_names() -> None:
    text = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
    for shipped in SHIPPED:
        assert f"`{shipped.entry_points}`" in text
