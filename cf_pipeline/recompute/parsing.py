"""A source file as a tree of what counts, and what binds each of its top-level names."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_LOGGERS = {"log", "logger", "_logger"}


@dataclass(frozen=True)
class Module:
    """One parsed file: what binds each of its names, and what it imports at its top level."""

    tree: ast.Module
    bound: Mapping[str, tuple[ast.stmt, ...]]
    _text: dict[int, str] = field(default_factory=dict)
    _imports: dict[int, list[tuple[str, str]]] = field(default_factory=dict)

    def source(self, statement: ast.stmt) -> str:
        """A statement without what does not count; unparsing is dear and done once."""
        if id(statement) not in self._text:
            self._text[id(statement)] = ast.unparse(statement)
        return self._text[id(statement)]

    def imports(self, statement: ast.stmt) -> list[tuple[str, str]]:
        """Local name and dotted target of every import in a statement; walked once."""
        if id(statement) not in self._imports:
            self._imports[id(statement)] = list(_imported(statement))
        return self._imports[id(statement)]


def _imported(statement: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, alias.name
                else:
                    root = alias.name.partition(".")[0]
                    yield root, root
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def parse(file: Path) -> Module:
    """A file without docstrings, annotations of signatures, and words of errors and logs."""
    tree = _Reduced().visit(ast.parse(file.read_text(encoding="utf-8")))
    bound: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in set(_names_bound(statement)):
            bound.setdefault(name, []).append(statement)
    return Module(tree, {name: tuple(statements) for name, statements in bound.items()})


def _names_bound(statement: ast.stmt) -> Iterator[str]:
    """Names to which a top-level statement gives a value, or whose value it changes."""
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


class _Reduced(ast.NodeTransformer):
    """A tree without what does not count."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        _drop_docstring(node)
        node.returns = None
        # What makes an asset of a body says where it stands in the graph, not what it computes.
        node.decorator_list = [d for d in node.decorator_list if not _makes_an_asset(d)]
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        _drop_docstring(node)
        # A text after an attribute is its docstring.
        node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
        return self.generic_visit(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = [s for s in node.body if not _is_text(s)]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        # Raised here, or made by a helper for its caller to raise.
        if name.endswith("Error"):
            node.args = [_without_text(argument) for argument in node.args]
        # What a registry holds: of its entries those count that were chosen, and by themselves.
        if name == "Registry":
            node.keywords = [keyword for keyword in node.keywords if keyword.arg == "sort"]
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id in _LOGGERS
        ):
            return ast.Pass()
        return self.generic_visit(node)


def _without_text(node: ast.expr) -> ast.expr:
    """An argument of an exception, its own words gone: texts, and texts put together."""
    if isinstance(node, ast.JoinedStr | ast.BinOp):
        return ast.Constant("")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return ast.Constant("")
    return node


def _drop_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
    if node.body and _is_text(node.body[0]):
        node.body = node.body[1:] or [ast.Pass()]


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _makes_an_asset(decorator: ast.expr) -> bool:
    call = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(call, ast.Name) and call.id in {"stage_asset", "check"}
