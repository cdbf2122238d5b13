"""The one owner of configuration: what was chosen, over the budget, over the recipe, over defaults.

`config.toml` in the home holds only what somebody chose. Everything else is resolved from it here,
by every process that needs it, in the same order. Sections are the rooms' own frozen models.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from cf_pipeline.baselines.config import BaselinesConfig
from cf_pipeline.benchmark.config import BenchmarkConfig, PromotionConfig
from cf_pipeline.errors import ConfigError
from cf_pipeline.factorization.config import FactorizationConfig
from cf_pipeline.interactions.config import PruningConfig, SplitConfig
from cf_pipeline.recipes.config import AutomationConfig, ResourcesConfig, TrackingConfig
from cf_pipeline.vision.config import CoversConfig, VisionConfig

RECIPES = Path(__file__).parent
_TOP = ("dataset", "recipe", "budget")
"""What is chosen by a word of its own, beside the sections."""
DEFAULT_DATASET = Path(__file__).parents[2] / "data" / "openclipart" / "dataset.toml"


class Configuration(BaseModel):
    """Everything that a run reads, resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: Path
    recipe: str
    budget: str
    covers: CoversConfig = CoversConfig()
    pruning: PruningConfig = PruningConfig()
    split: SplitConfig = SplitConfig()
    factorization: FactorizationConfig = FactorizationConfig()
    vision: VisionConfig = VisionConfig()
    baselines: BaselinesConfig = BaselinesConfig()
    benchmark: BenchmarkConfig = BenchmarkConfig()
    promotion: PromotionConfig = PromotionConfig()
    automation: AutomationConfig = AutomationConfig()
    tracking: TrackingConfig = TrackingConfig()
    resources: ResourcesConfig = ResourcesConfig()

    def fields(self) -> Iterator[tuple[str, Any, FieldInfo]]:
        """Every `section.field`, its resolved value and its declaration."""
        for section in SECTIONS:
            model = getattr(self, section)
            for name, info in type(model).model_fields.items():
                yield f"{section}.{name}", getattr(model, name), info

    def value(self, key: str) -> Any:
        """A section (`pruning`) or a field (`vision.init`) as plain JSON types.

        Raises:
            ConfigError: there is no such key.
        """
        section, _, name = key.partition(".")
        if section not in SECTIONS:
            raise _unknown(key, SECTIONS)
        values: dict[str, Any] = getattr(self, section).model_dump(mode="json")
        if not name:
            return values
        if name not in values:
            raise _unknown(key, [f"{section}.{field}" for field in values])
        return values[name]


SECTIONS: tuple[str, ...] = tuple(
    name
    for name, info in Configuration.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
)


class Choices(BaseModel):
    """What somebody chose: the contents of `config.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = str(DEFAULT_DATASET)
    recipe: str = "modern"
    budget: str = "full"
    set: dict[str, Any] = Field(default_factory=dict)
    """Dotted key to value."""

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
        try:
            return cls(**top, set=dict(_flatten(document)))
        except ValidationError as error:
            raise ConfigError(f"{path}: {_first(error)}") from error

    def write(self, path: Path) -> None:
        """Store the choices, whole or not at all."""
        document = tomlkit.document()
        document.add(tomlkit.comment("Written by `cf-pipeline run` and `cf-pipeline config`."))
        for key in _TOP:
            document.add(key, getattr(self, key))
        for key, value in sorted(self.set.items()):
            table: Any = document
            *parents, leaf = key.split(".")
            for parent in parents:
                if parent not in table:
                    table.add(parent, tomlkit.table())
                table = table[parent]
            table.add(leaf, value)
        beside = path.with_suffix(".tmp")
        beside.write_text(tomlkit.dumps(document), encoding="utf-8")
        beside.replace(path)

    def with_assignments(self, assignments: Sequence[str]) -> Choices:
        """These choices with `key=value` texts added; a value is TOML, or else plain text.

        Paths are made absolute here, once, from the current directory.

        Raises:
            ConfigError: no `=`, or a key that is not known.
        """
        chosen = dict(self.set)
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            if not equals:
                raise ConfigError(f"--set {assignment!r}: expected key=value, as vision.epochs=40.")
            _check_key(key.strip())
            chosen[key.strip()] = _absolute(key.strip(), _parse(text.strip()))
        return self.model_copy(update={"set": chosen})

    def without(self, key: str) -> Choices:
        """These choices with one taken back.

        Raises:
            ConfigError: it was not chosen.
        """
        if key in _TOP and getattr(self, key) != Choices.model_fields[key].default:
            return self.model_copy(update={key: Choices.model_fields[key].default})
        if key not in self.set:
            top = (name for name in _TOP if getattr(self, name) != getattr(Choices(), name))
            made = ", ".join([*top, *sorted(self.set)]) or "none"
            raise ConfigError(f"{key} was not chosen; choices made: {made}.")
        return self.model_copy(update={"set": {k: v for k, v in self.set.items() if k != key}})


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
            f"{choices.recipe!r} knows."
        )
    for key in choices.set:
        _check_key(key)
    merged: dict[str, Any] = {}
    _overlay(merged, recipe, choices.budget)
    init = choices.set.get("vision.init", merged.get("vision", {}).get("init"))
    if init == "scratch":
        _overlay(merged, recipe.get("scratch", {}), choices.budget)
    for key, value in choices.set.items():
        _assign(merged, key.split("."), value)
    try:
        return Configuration(
            dataset=Path(choices.dataset), recipe=choices.recipe, budget=choices.budget, **merged
        )
    except ValidationError as error:
        raise ConfigError(f"configuration: {_first(error)}") from error


def configuration_hash(values: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of the SHA-256 of resolved values, whatever their order."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _overlay(merged: dict[str, Any], layer: Mapping[str, Any], budget: str) -> None:
    """A recipe layer: its sections, then those of its budget."""
    for sections in (layer, layer.get("budget", {}).get(budget, {})):
        for section in SECTIONS:
            merged.setdefault(section, {}).update(sections.get(section, {}))


def _assign(merged: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    *parents, leaf = keys
    for depth, parent in enumerate(parents):
        if depth == 1 and parent not in merged:
            # A key inside a dictionary field adds to its default instead of replacing it.
            default = getattr(Configuration.model_fields[keys[0]].default, parent)
            merged[parent] = dict(default)
        merged = merged.setdefault(parent, {})
    merged[leaf] = value


def _read_recipe(name: str) -> dict[str, Any]:
    path = RECIPES / f"{name}.toml"
    if name not in recipe_names():
        raise ConfigError(f"recipe {name!r} is not one of {recipe_names()}.")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _known_keys() -> dict[str, FieldInfo]:
    known: dict[str, FieldInfo] = {}
    for section in SECTIONS:
        model: Any = Configuration.model_fields[section].annotation
        known |= {f"{section}.{name}": info for name, info in model.model_fields.items()}
    return known


def _check_key(key: str) -> None:
    known = _known_keys()
    parts = key.split(".")
    info = known.get(".".join(parts[:2]))
    is_dictionary = info is not None and str(info.annotation).startswith("dict")
    if is_dictionary and len(parts) != 3:
        field = ".".join(parts[:2])
        raise ConfigError(f"{key}: {field} holds values by name; set one, as {field}.NAME=VALUE.")
    if info is None or len(parts) != (3 if is_dictionary else 2):
        raise _unknown(key, list(known))


def _unknown(key: str, known: Sequence[str]) -> ConfigError:
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
    return ConfigError(f"unknown configuration key {key!r}. {hint}")


def _absolute(key: str, value: Any) -> Any:
    """A path as it is from everywhere; any other value as it is."""
    is_path = key in {"vision.weights", "baselines.imagenet_weights"}
    is_path = is_path or key.startswith("benchmark.tasks.")
    return str(Path(value).expanduser().absolute()) if is_path and value else value


def _parse(text: str) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return document["value"] if len(document) == 1 else text


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where or 'value'}: {problem['msg']}, got {problem.get('input')!r}"
