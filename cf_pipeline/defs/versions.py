"""The code version of an asset: a hash of the source it reaches, read and never imported.

It covers the asset's own body, the functions and constants of its file that the body uses, and
every module of the rooms below that these import, directly or through one another. Docstrings,
comments and layout are not part of it. It does not see: installed packages, data files, and the
rooms in `CANNOT_CHANGE_A_VALUE`. Configuration models are hashed by their resolved values instead.
"""

import ast
import functools
import hashlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
CANNOT_CHANGE_A_VALUE = (
    "benchmark.report",
    "defs.pictures",
    "defs.progress",
    "defs.resources",
    "defs.stage",
    "defs.versions",
    "errors",
    "figures",
    "recipes",
    "storage",
    "tracking",
)


def code_version(body: Callable[..., Any]) -> str:
    """12 hexadecimal digits for the source that an asset's body reaches."""
    file = Path(inspect.getsourcefile(body) or "")
    own, modules = _reached_in_file(file, body.__name__)
    digest = hashlib.sha256("\n".join(own).encode())
    for module in sorted(_closure(modules)):
        digest.update(f"\n{module}\n{_source_and_imports(module)[0]}".encode())
    return digest.hexdigest()[:12]


def reached_modules(body: Callable[..., Any]) -> set[str]:
    """The modules of the package whose source the version of this body covers."""
    file = Path(inspect.getsourcefile(body) or "")
    return _closure(_reached_in_file(file, body.__name__)[1])


def _reached_in_file(file: Path, name: str) -> tuple[list[str], set[str]]:
    """Source of the body and what it uses of its own file, and the modules those import."""
    definitions, imported = _names_of_file(file)
    sources: list[str] = []
    modules: set[str] = set()
    waiting, seen = [name], {name}
    while waiting:
        node = definitions[waiting.pop()]
        if isinstance(node, ast.FunctionDef):
            # What decorates an asset says where it stands in the graph, not what it computes.
            node.decorator_list = []
        sources.append(ast.unparse(node))
        modules |= set(_imports(node))
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                modules |= imported.get(inner.id, set())
                if inner.id in definitions and inner.id not in seen:
                    seen.add(inner.id)
                    waiting.append(inner.id)
    return sorted(sources), modules


def _names_of_file(file: Path) -> tuple[dict[str, ast.stmt], dict[str, set[str]]]:
    """What a file defines at its top level, and the modules behind the names it imports."""
    definitions: dict[str, ast.stmt] = {}
    imported: dict[str, set[str]] = {}
    for node in _parse(file).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            definitions[node.targets[0].id] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                imported[alias.asname or alias.name] = set(_modules_of(node, alias.name))
    return definitions, imported


def _closure(modules: set[str]) -> set[str]:
    reached: set[str] = set()
    waiting = [module for module in modules if _counts(module)]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += [m for m in _source_and_imports(module)[1] if _counts(m)]
    return reached


def _counts(module: str) -> bool:
    _, _, rest = module.partition(".")
    ignored = any(rest == room or rest.startswith(f"{room}.") for room in CANNOT_CHANGE_A_VALUE)
    return bool(rest) and not ignored and not rest.endswith(".config")


@functools.cache
def _source_and_imports(module: str) -> tuple[str, frozenset[str]]:
    file = _file_of(module)
    assert file is not None
    tree = _parse(file)
    return ast.unparse(tree), frozenset(_imports(tree))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield from _modules_of(node, alias.name)


def _modules_of(node: ast.Import | ast.ImportFrom, name: str) -> Iterator[str]:
    """The module of this package that an import statement names, if any."""
    if isinstance(node, ast.ImportFrom):
        inner = f"{node.module}.{name}"
        name = inner if _file_of(inner) else str(node.module)
    if _file_of(name):
        yield name


@functools.cache
def _file_of(module: str) -> Path | None:
    root, *parts = module.split(".")
    if root != PACKAGE.name or not parts:
        return None
    path = PACKAGE.joinpath(*parts)
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _parse(file: Path) -> ast.Module:
    """The syntax tree of a file without docstrings; comments are not in it anyway."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return tree
