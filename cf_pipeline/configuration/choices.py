"""What somebody chose, and the configuration that it means: over the budget, over the recipe.

`config.toml` in the home holds only what somebody chose. Everything else is resolved from it here,
by every process that needs it, in the same order.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cf_pipeline.configuration.keys import (
    absolute,
    check_key,
    flatten,
    known_fields,
    method_of,
    nested,
    parse,
    without_key,
)
from cf_pipeline.configuration.model import (
    SECTIONS,
    Configuration,
    configuration_hash,
)
from cf_pipeline.configuration.moved import moved
from cf_pipeline.errors import ConfigError, did_you_mean
from cf_pipeline.registry import Method

__all__ = [
    "SECTIONS",
    "Choices",
    "Configuration",
    "budget_names",
    "configuration_hash",
    "recipe_names",
    "resolve",
]

RECIPES = Path(__file__).parent / "recipes"
_TOP = ("dataset", "recipe", "budget")
"""What is chosen by a word of its own, beside the sections."""
_WORDS = ("recipe", "budget")
"""Of these what is changed as other settings are; a home belongs to one data set."""
DEFAULT_DATASET = Path(__file__).parents[2] / "data" / "openclipart" / "dataset.toml"

_logger = logging.getLogger(__name__)


class Choices(BaseModel):
    """What somebody chose: the contents of `config.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = str(DEFAULT_DATASET)
    recipe: str = "modern"
    budget: str = "full"
    set: dict[str, Any] = Field(default_factory=dict)
    """Dotted key to value; a field that holds a method has its name, keys below it its settings."""

    @classmethod
    def read(cls, path: Path) -> Choices:
        """The choices in a file; none there, none made.

        Raises:
            ConfigError: not TOML, or a key that is not known.
        """
        if not path.is_file():
            return cls()
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not TOML: {error}. Mend or delete it.") from error
        top = {key: document.pop(key) for key in _TOP if key in document}
        chosen, words = moved(dict(flatten(document)))
        for word in words:
            _logger.info("%s: %s", path, word)
        try:
            return cls(**top, set=chosen)
        except ValidationError as error:
            raise ConfigError(f"{path}: {_first(error)}") from error

    def write(self, path: Path) -> None:
        """Store the choices, whole or not at all."""
        document = tomlkit.document()
        document.add(tomlkit.comment("Written by `cf-pipeline run` and `cf-pipeline config`."))
        for key, value in {**{k: getattr(self, k) for k in _TOP}, **nested(self.set)}.items():
            document.add(key, value)
        beside = path.with_suffix(".tmp")
        beside.write_text(tomlkit.dumps(document), encoding="utf-8")
        beside.replace(path)

    def with_assignments(self, assignments: Sequence[str]) -> Choices:
        """These choices with `key=value` texts added; a value is TOML, or else plain text.

        Paths are made absolute here, once, from the current directory.

        Raises:
            ConfigError: no `=`, or a key that is not known.
        """
        chosen, words = dict(self.set), dict[str, str]()
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            if not equals:
                raise ConfigError(f"--set {assignment!r}: expected key=value, as vision.epochs=40.")
            name = key.strip()
            if name in _WORDS:
                words[name] = text.strip()
                continue
            check_key(name)
            name = method_of(name)
            # Another method, or another whole table, takes its predecessor's settings with it.
            chosen = without_key(chosen, name)
            given = flatten(parse(text.strip()), name)
            chosen |= {below: absolute(below, value) for below, value in given}
        return self.model_copy(update={**words, "set": chosen})

    def without(self, key: str) -> Choices:
        """These choices with one taken back; a method goes with its settings.

        Raises:
            ConfigError: it was not chosen.
        """
        if key in _TOP and getattr(self, key) != Choices.model_fields[key].default:
            return self.model_copy(update={key: Choices.model_fields[key].default})
        key = method_of(key)
        left = without_key(self.set, key)
        if left == self.set:
            top = (name for name in _TOP if getattr(self, name) != getattr(Choices(), name))
            made = ", ".join([*top, *sorted(self.set)]) or "none"
            raise ConfigError(f"{key} was not chosen; choices made: {made}.")
        return self.model_copy(update={"set": left})


def recipe_names() -> list[str]:
    """The recipes that ship."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def budget_names(recipe: str) -> list[str]:
    """The budgets that a recipe knows."""
    return sorted(_read_recipe(recipe).get("budget", {}))


def resolve(choices: Choices) -> Configuration:
    """The whole configuration that these choices mean.

    Raises:
        ConfigError: an unknown recipe, budget or key, or a value out of range.
    """
    recipe = _read_recipe(choices.recipe)
    if choices.budget not in recipe.get("budget", {}):
        raise ConfigError(
            f"budget {choices.budget!r} is not one of {budget_names(choices.recipe)} that recipe "
            f"{choices.recipe!r} knows. {did_you_mean(choices.budget, recipe['budget'])}".rstrip()
        )
    for key in choices.set:
        check_key(key)
    merged: dict[str, Any] = {}
    _overlay(merged, recipe, choices.budget)
    # Sorted, a method's name comes before its settings, in whatever order a file had them.
    for key, value in sorted(choices.set.items()):
        _assign(merged, key.split("."), value)
    try:
        return Configuration(
            dataset=Path(choices.dataset), recipe=choices.recipe, budget=choices.budget, **merged
        )
    except ValidationError as error:
        raise ConfigError(f"configuration: {_first(error)}") from error


def _overlay(merged: dict[str, Any], layer: Mapping[str, Any], budget: str) -> None:
    """A recipe layer: its sections, then those of its budget."""
    for sections in (layer, layer.get("budget", {}).get(budget, {})):
        for section in SECTIONS:
            merged.setdefault(section, {}).update(sections.get(section, {}))


def _assign(merged: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Put a value at its place; a method or a dictionary above it begins as its default is."""
    section, field, *below = keys
    place = merged.setdefault(section, {})
    if not below:
        place[field] = value
        return
    default = known_fields()[f"{section}.{field}"].get_default(call_default_factory=True)
    # A copy, since what is there may be the recipe's or the choices' own.
    place[field] = _as_table(place.get(field, default))
    place = place[field]
    for part in below[:-1]:
        place[part] = _as_table(place.get(part, {}))
        place = place[part]
    place[below[-1]] = value


def _as_table(value: Any) -> dict[str, Any]:
    """A method by name, a method or a mapping as a table that can be added to."""
    if isinstance(value, str):
        return {"name": value}
    return value.model_dump() if isinstance(value, Method) else dict(value)


def _read_recipe(name: str) -> dict[str, Any]:
    if name not in recipe_names():
        hint = did_you_mean(name, recipe_names())
        raise ConfigError(f"recipe {name!r} is not one of {recipe_names()}. {hint}".rstrip())
    return tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where or 'value'}: {problem['msg']}, got {problem.get('input')!r}"
