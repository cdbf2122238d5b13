"""Methods by name: which there are, how one from outside is found, and how a setting names one.

A method is a pydantic model: its fields are its settings, its methods are what it does. Where the
configuration holds one, a bare text stands for `{name = …}`; the name is a word of the registry, an
installed entry point's, or a dotted path (`my_lab.losses:Margin`) to a class of somebody else's.
Entries are given as paths, so that a method is imported when it is chosen and not before.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cf_pipeline.errors import ConfigError, did_you_mean

DOTTED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""`package.module:Class`."""


class Method(BaseModel):
    """What every method has: settings that are closed and frozen, and the name it was chosen by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str


@dataclass(frozen=True)
class Registry:
    """The methods of one sort.

    Attributes:
        sort: a word for messages, such as `objective`.
        base: the class that every method of this sort derives from, as a path.
        entries: name to path of the methods that ship.
        entry_points: group in which installed packages announce theirs.
        prefixes: `prefix` to path, for names such as `timm:resnet50` that one class answers to.
    """

    sort: str
    base: str
    entries: Mapping[str, str]
    entry_points: str
    prefixes: Mapping[str, str] | None = None

    def names(self) -> list[str]:
        """The words that ship or are installed."""
        return sorted({*self.entries, *self._installed()})

    def path(self, name: str) -> str:
        """`module:Class` of a method.

        Raises:
            ConfigError: there is no such method.
        """
        # What ships first: to know what is installed is to read hundreds of files.
        if name in self.entries:
            return self.entries[name]
        installed = self._installed()
        if name in installed:
            return installed[name]
        prefix, _, rest = name.partition(":")
        if rest and prefix in (self.prefixes or {}):
            return (self.prefixes or {})[prefix]
        if DOTTED.fullmatch(name):
            return name
        hint = did_you_mean(name, self.names())
        also = [f"{prefix}:<model>" for prefix in self.prefixes or {}]
        raise ConfigError(
            f"there is no {self.sort} {name!r}. {hint}Expected one of "
            f"{', '.join([*self.names(), *also])}, or a class by path as my_package.module:Name."
        )

    def find(self, name: str) -> type[Method]:
        """The class of a method, imported now.

        Raises:
            ConfigError: there is none, it cannot be imported, or it is no method of this sort.
        """
        path = self.path(name)
        found, base = _imported(path, self.sort), _imported(self.base, self.sort)
        if not (isinstance(found, type) and issubclass(found, base)):
            raise ConfigError(
                f"{self.sort} {name!r} is {found!r}, expected a class that derives from "
                f"{self.base.replace(':', '.')}. docs/extending.md shows one."
            )
        return found

    def choose(self, value: Any) -> Any:
        """A method from what a setting holds: itself, its name, or a table with its name.

        Raises:
            ConfigError: there is no such method, no name, or a setting that is not one of the
                method's or out of range.
        """
        if isinstance(value, Method):
            return value
        given = {"name": value} if isinstance(value, str) else value
        if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
            raise ConfigError(
                f"{self.sort}: expected a name, or a table with `name`, got {value!r}."
            )
        method = self.find(given["name"])
        try:
            return method.model_validate(dict(given))
        except ValidationError as error:
            # Not left to the model around it, which would tell the place and not the method's name.
            problem = error.errors()[0]
            setting = ".".join(map(str, problem["loc"]))
            known = ", ".join(name for name in method.model_fields if name != "name") or "none"
            raise ConfigError(
                f"{self.sort} {given['name']!r}, {setting}: {problem['msg']}, got "
                f"{problem.get('input')!r}. Its settings: {known}."
            ) from error

    def _installed(self) -> dict[str, str]:
        return {point.name: point.value for point in _entry_points(self.entry_points)}


def _entry_points(group: str) -> Iterator[metadata.EntryPoint]:
    yield from metadata.entry_points(group=group)


def _imported(path: str, sort: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{sort} {path!r} cannot be imported: {error}. The package must be installed where "
            "cf-pipeline runs, or lie in a folder that PYTHONPATH names."
        ) from error
