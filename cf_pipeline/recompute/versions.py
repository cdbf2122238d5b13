"""The code version of a stage as it runs: its body, and the methods that the configuration chose.

Methods of this package count by the symbols they reach, as the body does. One from outside counts
by the version of its distribution, or, where nobody packaged it, by the files of its package.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cf_pipeline.configuration.choices import Configuration
from cf_pipeline.recompute.reach import SourceTree, Symbol
from cf_pipeline.registry import Method

PACKAGE = Path(__file__).parents[1]
TREE = SourceTree(PACKAGE)


def symbol_of(function: Callable[..., Any]) -> Symbol:
    """Module and name of a body; a file outside the package is a module by its path."""
    file = Path(inspect.getsourcefile(function) or "").resolve()
    if file.is_relative_to(PACKAGE):
        return TREE.module_of(file), function.__name__
    TREE.forget(str(file))
    return str(file), function.__name__


def code_version(body: Symbol, methods: Sequence[type[Method]] = ()) -> str:
    """12 hexadecimal digits for a body and the methods that it will run."""
    root = f"{PACKAGE.name}."
    ours = [(m.__module__, m.__qualname__) for m in methods if m.__module__.startswith(root)]
    version = TREE.code_version([body, *ours])
    theirs = sorted({_outside_version(m) for m in methods if not m.__module__.startswith(root)})
    if not theirs:
        return version
    return hashlib.sha256("\n".join([version, *theirs]).encode()).hexdigest()[:12]


def chosen_methods(configuration: Configuration, keys: Sequence[str]) -> list[type[Method]]:
    """Classes of the methods that sections or fields of the configuration hold, each once."""
    found = {type(m): None for key in keys for m in _methods_in(configuration.held(key))}
    return sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__))


def _methods_in(value: Any) -> Iterator[Method]:
    if isinstance(value, Method):
        yield value
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _methods_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _methods_in(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _methods_in(inner)


def _outside_version(method: type[Method]) -> str:
    """Name and version of the distribution of somebody else's method, or a hash of its files."""
    package = method.__module__.partition(".")[0]
    for distribution in _distributions().get(package, ()):
        return f"{package} {distribution} {metadata.version(distribution)}"
    module = sys.modules[package]
    file = Path(getattr(module, "__file__", None) or inspect.getfile(method))
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(file.parent)}\n".encode() + path.read_bytes())
    return f"{package} {digest.hexdigest()}"


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """Package to the distributions that installed it; slow, and asked only for outside methods."""
    return metadata.packages_distributions()
