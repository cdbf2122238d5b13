"""The code version of an asset: a hash of the source it reaches, read and never imported.

It covers the asset's own body, the functions and constants of its file that the body uses, and
every module of the rooms below that these import, directly or through one another. Docstrings,
comments and layout are not part of it. It does not see: installed packages, data files, modules
imported by a computed name, and the rooms in `CANNOT_CHANGE_A_VALUE`. Configuration models are
hashed by their resolved values instead.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CANNOT_CHANGE_A_VALUE = (
    "benchmark.report",
    "defs.asset_checks",
    "defs.assets",
    "defs.attempts",
    "defs.checks",
    "defs.column_lineage",
    "defs.metadata",
    "defs.pictures",
    "defs.progress",
    "defs.resources",
    "defs.stage",
    "defs.staleness",
    "defs.versions",
    "errors",
    "figures",
    "recipes",
    "storage",
    "tracking",
    "verdict",
)


def code_version(body: Callable[..., Any]) -> str:
    """12 hexadecimal digits for the source that an asset's body reaches."""
    return _TREE.code_version(Path(inspect.getsourcefile(body) or ""), body.__name__)


@dataclass(frozen=True)
class SourceTree:
    """The Python files of one package.

    Attributes:
        package: its folder, which bears its name. Files are read once and remembered.
    """

    package: Path
    _read: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict, repr=False)
    _files: dict[str, Path | None] = field(default_factory=dict, repr=False)

    def code_version(self, file: Path, name: str) -> str:
        """12 hexadecimal digits for the source that a function of a file reaches."""
        own, modules = self._reached_in_file(file, name)
        digest = hashlib.sha256("\n".join(own).encode())
        for module in sorted(self._closure(modules)):
            digest.update(f"\n{module}\n{self._source_and_imports(module)[0]}".encode())
        return digest.hexdigest()[:12]

    def reached_modules(self, file: Path, name: str) -> set[str]:
        """The modules of the package whose source the version of this function covers."""
        return self._closure(self._reached_in_file(file, name)[1])

    def _reached_in_file(self, file: Path, name: str) -> tuple[list[str], set[str]]:
        """Source of a function and what it uses of its own file, and the modules those import."""
        bound = _bindings(_parse(file), name)
        sources: set[str] = set()
        modules: set[str] = set()
        waiting, seen = [name], {name}
        while waiting:
            for statement in bound[waiting.pop()]:
                if not isinstance(statement, ast.Import | ast.ImportFrom):
                    sources.add(ast.unparse(statement))
                modules |= set(self._imports(statement))
                used = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
                waiting += sorted((used & bound.keys()) - seen)
                seen |= used
        return sorted(sources), modules

    def _closure(self, modules: set[str]) -> set[str]:
        reached: set[str] = set()
        waiting = [module for module in modules if _counts(module)]
        while waiting:
            module = waiting.pop()
            if module not in reached:
                reached.add(module)
                waiting += [m for m in self._source_and_imports(module)[1] if _counts(m)]
        return reached

    def _source_and_imports(self, module: str) -> tuple[str, frozenset[str]]:
        if module not in self._read:
            file = self._file_of(module)
            assert file is not None
            tree = _parse(file)
            self._read[module] = ast.unparse(tree), frozenset(self._imports(tree))
        return self._read[module]

    def _imports(self, tree: ast.AST) -> Iterator[str]:
        """Modules of this package that import statements anywhere in a tree name."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                named = [name if self._file_of(name) else str(node.module) for name in inner]
            else:
                continue
            yield from (name for name in named if self._file_of(name))

    def _file_of(self, module: str) -> Path | None:
        if module not in self._files:
            root, *parts = module.split(".")
            path = self.package.joinpath(*parts)
            candidates = (path.with_suffix(".py"), path / "__init__.py")
            ours = candidates if root == self.package.name and parts else ()
            self._files[module] = next((file for file in ours if file.is_file()), None)
        return self._files[module]


_TREE = SourceTree(Path(__file__).parents[1])


def _counts(module: str) -> bool:
    _, _, rest = module.partition(".")
    ignored = any(rest == room or rest.startswith(f"{room}.") for room in CANNOT_CHANGE_A_VALUE)
    return bool(rest) and not ignored and not rest.endswith(".config")


def _bindings(tree: ast.Module, body: str) -> dict[str, list[ast.stmt]]:
    """Every name of a file to the top-level statements that give it its value."""
    bound: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        names = set(_names_bound(statement))
        if isinstance(statement, ast.FunctionDef) and statement.name == body:
            # What decorates an asset says where it stands in the graph, not what it computes.
            statement.decorator_list = []
        for name in names:
            bound.setdefault(name, []).append(statement)
    return bound


def _names_bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield (alias.asname or alias.name).partition(".")[0]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield from (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))
        elif isinstance(node, ast.Expr):
            # TABLE.update(...) changes TABLE.
            yield from (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))


def _parse(file: Path) -> ast.Module:
    """The syntax tree of a file without docstrings; comments are not in it anyway."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return tree
