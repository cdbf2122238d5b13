"""Dotted keys of settings: tables to keys and back, and what a key may be."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from cf_pipeline.benchmark.task_loaders.loader import TASK_LOADERS
from cf_pipeline.configuration.model import SECTIONS, Configuration, unknown_key
from cf_pipeline.configuration.moved import MOVED
from cf_pipeline.errors import ConfigError
from cf_pipeline.registry import DOTTED, Method


def flatten(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """A table as dotted keys; one that is a method as its name, and its settings below."""
    if not isinstance(value, dict):
        yield key, value
        return
    for name, inner in value.items():
        yield from flatten(inner, method_of(f"{key}.{name}" if key else name))


def nested(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as tables, what `flatten` was made of; a method with settings is a table."""
    tables: dict[str, Any] = {}
    for key, value in sorted(chosen.items()):
        place = tables
        *above, leaf = key.split(".")
        for part in above:
            held = place.get(part, {})
            place[part] = held if isinstance(held, dict) else {"name": held}
            place = place[part]
        place[leaf] = value
    return tables


def without_key(chosen: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What is chosen but for a field and the settings below it; a section is no field."""
    below = f"{key}." if "." in key else None
    return {k: v for k, v in chosen.items() if k != key and not (below and k.startswith(below))}


def known_fields() -> dict[str, FieldInfo]:
    """`section.field` of every setting, methods' own settings aside."""
    known: dict[str, FieldInfo] = {}
    for section in SECTIONS:
        model: Any = Configuration.model_fields[section].annotation
        known |= {f"{section}.{name}": info for name, info in model.model_fields.items()}
    return known


def method_of(key: str) -> str:
    """The key of a method where its name is meant, as vision.backbone of vision.backbone.name."""
    above, _, leaf = key.rpartition(".")
    field = ".".join(above.split(".")[:2])
    info = known_fields().get(field)
    if leaf != "name" or info is None:
        return key
    # One of a dictionary's entries may be called `name` itself.
    is_method = _holds_method(info) or (_is_dictionary(info) and above != field)
    return above if is_method else key


def check_key(key: str) -> None:
    """Whether there is such a field; what a method calls its settings is for itself to say."""
    known = known_fields()
    parts = key.split(".")
    field = ".".join(parts[:2])
    info = known.get(field)
    if MOVED.get(key) is not None:
        raise ConfigError(f"{key} of an earlier release is {MOVED[key]} now.")
    if info is None:
        raise unknown_key(key, list(known))
    if _is_dictionary(info) and len(parts) < 3:
        raise ConfigError(f"{key}: {field} holds values by name; set one, as {field}.NAME=VALUE.")
    if len(parts) > 2 and not _is_dictionary(info) and not _holds_method(info):
        raise unknown_key(key, list(known))


def _is_dictionary(info: FieldInfo) -> bool:
    """Whether a field holds values by name."""
    return str(info.annotation).startswith("dict")


def _holds_method(info: FieldInfo) -> bool:
    """Whether a field holds a method, whose settings are keys below it."""
    return isinstance(info.annotation, type) and issubclass(info.annotation, Method)


def absolute(key: str, value: Any) -> Any:
    """A path as it is from everywhere; any other value as it is."""
    is_task = key.startswith("benchmark.tasks.") and key.count(".") == 2
    is_loader = value in TASK_LOADERS.names() or DOTTED.fullmatch(str(value))
    is_path = key.endswith((".weights", ".folder")) or (is_task and not is_loader)
    if not is_path or not isinstance(value, str) or value == "random" or value.startswith("$"):
        return value
    return str(Path(value).expanduser().absolute())


def parse(text: str) -> Any:
    """A value as TOML writes it; what is no TOML is plain text."""
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return document["value"] if len(document) == 1 else text
