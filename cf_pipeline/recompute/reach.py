"""The code version of an asset: a hash of the top-level symbols that its body reaches by name.

Source is parsed, never imported. From a body the names that it uses lead to functions, classes
(whole, once named) and constants, in its own file and across modules, through imports, aliases,
base classes and decorators. Left aside are docstrings, comments, layout, annotations of signatures,
texts of raised errors and of log lines, and the rooms in `LEFT_OUT`; configuration counts by its
resolved values instead. Where a module itself is used as a value its names cannot be told, and it
counts whole. Methods that the configuration chose (`registry`) are handed in by whoever asks, since
no body names them; what else a registry holds does not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cf_pipeline.recompute.parsing import Module, parse

LEFT_OUT: Mapping[str, str] = {
    "benchmark.report": "puts scores into words",
    "configuration": "counts by its resolved values",
    "defs.assets": "wires bodies into Dagster",
    "defs.pictures": "wraps pictures for the UI",
    "defs.resources": "holds the home and writes log lines",
    "errors": "is seen only where nothing is made",
    "figures": "draws what was made",
    "recompute": "decides whether a body runs, not what it makes",
    "registry": "finds methods; those that are chosen count",
    "sources.dataset": "counts by its parsed sections",
    "sources.description": "counts by its parsed sections",
    "sql": "quotes names",
    "storage": "stores rows and hashes them; a body that hands over other rows has changed itself",
    "tracking": "tells wandb",
    "verdict": "words of checks, which turn rows away or let them stand",
}
"""Rooms that cannot change a value, with the reason."""

Symbol = tuple[str, str]
"""Module and name; the name is `*` where the module counts whole."""


@dataclass
class SourceTree:
    """The Python files of one package.

    Attributes:
        package: its folder, which bears its name. Files are parsed once and remembered.
    """

    package: Path
    _modules: dict[str, Module | None] = field(default_factory=dict, repr=False)
    _uses: dict[Symbol, frozenset[Symbol]] = field(default_factory=dict, repr=False)

    def code_version(self, symbols: Iterable[Symbol]) -> str:
        """12 hexadecimal digits for the source that some symbols reach, themselves included."""
        digest = hashlib.sha256()
        for module, name in sorted(self.reached(symbols)):
            # A file outside counts by what it holds, wherever it lies.
            place = Path(module).name if module.endswith(".py") else module
            digest.update(f"\n{place}:{name}\n".encode())
            for text in sorted(self._texts(module, name)):
                digest.update(text.encode())
        return digest.hexdigest()[:12]

    def reached(self, symbols: Iterable[Symbol]) -> set[Symbol]:
        """Every symbol of the package that some symbols reach."""
        reached: set[Symbol] = set()
        waiting = [symbol for symbol in symbols if self._parsed(symbol[0]) is not None]
        while waiting:
            symbol = waiting.pop()
            if symbol not in reached:
                reached.add(symbol)
                waiting += self._used_by(symbol) - reached
        return reached

    def wholes(self, symbols: Iterable[Symbol]) -> set[str]:
        """Modules that count whole: the places where a name is computed."""
        return {module for module, name in self.reached(symbols) if name == "*"}

    def forget(self, module: str) -> None:
        """Parse a module again when it is asked for next: a file outside may have been edited."""
        self._modules.pop(module, None)
        self._uses = {symbol: used for symbol, used in self._uses.items() if symbol[0] != module}

    def module_of(self, file: Path) -> str:
        """The dotted name of a file of the package."""
        parts = file.relative_to(self.package).with_suffix("").parts
        return ".".join([self.package.name, *(part for part in parts if part != "__init__")])

    def _texts(self, module: str, name: str) -> list[str]:
        parsed = self._parsed(module)
        assert parsed is not None
        statements = parsed.tree.body if name == "*" else parsed.bound[name]
        return [parsed.source(s) for s in statements if not isinstance(s, _IMPORTS)]

    def _used_by(self, symbol: Symbol) -> frozenset[Symbol]:
        """Symbols that the statements of a symbol name."""
        if symbol not in self._uses:
            module, name = symbol
            parsed = self._parsed(module)
            assert parsed is not None
            statements = parsed.tree.body if name == "*" else parsed.bound[name]
            used: set[Symbol] = set()
            for statement in statements:
                used |= set(self._named_in(module, parsed, statement))
            self._uses[symbol] = frozenset(used - {symbol})
        return self._uses[symbol]

    def _named_in(self, module: str, parsed: Module, statement: ast.stmt) -> Iterator[Symbol]:
        aliases = dict(parsed.imports(statement))
        nodes = list(ast.walk(statement))
        attributes = {id(node.value): node for node in nodes if isinstance(node, ast.Attribute)}
        for node in nodes:
            if not isinstance(node, ast.Name):
                continue
            if node.id in aliases:
                yield from self._target(aliases[node.id], node, attributes)
            elif node.id in parsed.bound:
                yield from self._bound_target(module, parsed, node, attributes)

    def _bound_target(
        self, module: str, parsed: Module, node: ast.Name, attributes: Mapping[int, ast.Attribute]
    ) -> Iterator[Symbol]:
        """A name of the module's own top level: defined there, or imported."""
        is_import = False
        for statement in parsed.bound[node.id]:
            for alias, target in parsed.imports(statement):
                if alias == node.id:
                    is_import = True
                    yield from self._target(target, node, attributes)
        if not is_import:
            yield module, node.id

    def _target(
        self, target: str, node: ast.expr, attributes: Mapping[int, ast.Attribute]
    ) -> Iterator[Symbol]:
        """What an imported name stands for: a symbol, or an attribute of a module."""
        while self._file_of(target) is not None or target == self.package.name:
            attribute = attributes.get(id(node))
            if attribute is None:
                # The module itself is a value: which of its names are used cannot be told.
                if _counts(target):
                    yield target, "*"
                return
            target, node = f"{target}.{attribute.attr}", attribute
        yield from self._symbol(target)

    def _symbol(self, dotted: str) -> Iterator[Symbol]:
        """Module and name of a dotted symbol, followed to where it is defined."""
        module, _, name = dotted.rpartition(".")
        parsed = self._parsed(module) if module and _counts(module) else None
        if parsed is None:
            return
        for statement in parsed.bound.get(name, ()):
            for alias, target in parsed.imports(statement):
                if alias == name:
                    yield from self._symbol(target)
                    return
        if name in parsed.bound:
            yield module, name

    def _parsed(self, module: str) -> Module | None:
        if module not in self._modules:
            file = self._file_of(module)
            self._modules[module] = None if file is None else parse(file)
        return self._modules[module]

    def _file_of(self, module: str) -> Path | None:
        if module.endswith(".py"):  # a file outside the package
            return Path(module)
        root, *parts = module.split(".")
        return _file_below(self.package, tuple(parts)) if root == self.package.name else None


_IMPORTS = (ast.Import, ast.ImportFrom)


@functools.cache
def _file_below(package: Path, parts: Sequence[str]) -> Path | None:
    path = package.joinpath(*parts)
    candidates = (path.with_suffix(".py"), path / "__init__.py") if parts else ()
    return next((file for file in candidates if file.is_file()), None)


def _counts(module: str) -> bool:
    _, _, rest = module.partition(".")
    left_out = any(rest == room or rest.startswith(f"{room}.") for room in LEFT_OUT)
    return bool(rest) and not left_out and not rest.endswith(".config")
