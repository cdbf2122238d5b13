"""Rules of the house that no linter knows: sizes, weights of imports, who imports whom."""

from __future__ import annotations

import ast
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "cf_pipeline"
TESTS = REPOSITORY / "cf_pipeline_tests"
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"torch", "torchvision", "timm", "implicit", "sklearn", "matplotlib", "wandb"}
MAX_FILE, MAX_FUNCTION, MAX_FUNCTION_OF_DEFS = 300, 60, 30


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_on_loading(tree: ast.Module) -> Iterator[str]:
    """First parts of what a module imports when it is loaded: not in functions, not for types."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module).partition(".")[0]
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # Bodies of classes, of `try` and its handlers, of `with`.
            parts = [node, *getattr(node, "handlers", [])]
            waiting += [
                child
                for part in parts
                for child in ast.iter_child_nodes(part)
                if isinstance(child, ast.stmt)
            ]


def test_the_contracts_on_imports_hold(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(REPOSITORY / "pyproject.toml"), no_cache=True)
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_short(path: Path) -> None:
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= MAX_FILE, f"{name_of(path)} has {n_lines} lines, at most {MAX_FILE}"
    limit = MAX_FUNCTION_OF_DEFS if "defs" in path.parts else MAX_FUNCTION
    long = {
        f"{node.name}: {length} lines"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for length in [(node.end_lineno or 0) - node.lineno + 1]
        if length > limit
    }
    assert long == set(), f"{name_of(path)}: at most {limit} lines"


RESOLVED = {
    "config.py",
    "factorizer.py",
    "objective.py",
    "backbone.py",
    "feature_set.py",
    "loader.py",
}
"""Files of settings and of protocols, which every command loads to resolve a configuration."""
LIGHT = [
    path
    for path in FILES
    if "defs" in path.parts
    or path.parent in {PACKAGE / "cli", PACKAGE / "configuration", PACKAGE / "models"}
    or path.name in {"__init__.py", *RESOLVED}
    or path in {PACKAGE / "definitions.py", PACKAGE / "registry.py", PACKAGE / "worker.py"}
]


@pytest.mark.parametrize("path", LIGHT, ids=name_of)
def test_what_everybody_loads_is_light(path: Path) -> None:
    loaded = set(imported_on_loading(tree_of(path)))
    assert not loaded & HEAVY
    if path == PACKAGE / "__init__.py":
        assert loaded == {"__future__", "typing"}, "the library is loaded when it is asked for"
    elif path.name == "__init__.py":
        assert not loaded, "a room's __init__ imports nothing"
    elif path.name in RESOLVED:
        assert not loaded & {"numpy", "polars", "duckdb", "dagster", "scipy"}


@pytest.mark.parametrize("path", [path for path in LIGHT if "defs" in path.parts], ids=name_of)
def test_no_postponed_annotations_in_defs(path: Path) -> None:
    """They break the configuration of assets, which Dagster reads from annotations."""
    assert "__future__" not in set(imported_on_loading(tree_of(path)))


def test_the_check_of_imports_sees_what_it_is_for() -> None:
    tree = ast.parse(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "try:\n    import sklearn.svm\nexcept ImportError:\n    pass\n"
        "class A:\n    import wandb\n    def f(self):\n        import timm\n"
        "def f():\n    import implicit\n"
    )
    assert set(imported_on_loading(tree)) == {"typing", "sklearn", "wandb"}


def test_every_folder_of_tests_is_a_room() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    folders = {path.name for path in TESTS.iterdir() if (path / "__init__.py").is_file()}
    assert folders - rooms == {"end_to_end"}
    assert rooms - folders == set()
    untested = [room for room in rooms if not any((TESTS / room).glob("test_*.py"))]
    assert not untested


def test_no_room_of_odds_and_ends() -> None:
    names = {path.stem for path in PACKAGE.rglob("*")}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


def test_constraints_pin_one_version_each() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.!+]*", line), line
    names = [re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines]
    assert len(set(names)) == len(names)
    assert "cf-pipeline" not in names


def test_every_dependency_is_constrained() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pinned = (REPOSITORY / "constraints.txt").read_text().lower().replace("_", "-")
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower()
        assert f"\n{name}==" in f"\n{pinned}", name


@pytest.mark.parametrize("path", sorted((REPOSITORY / "benchmarks").glob("*.py")), ids=name_of)
def test_benchmarks_load_and_take_a_size(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What they measure takes minutes; that they still know the rooms' names is seen here."""
    monkeypatch.setattr(sys, "argv", [path.name, "--help"])
    monkeypatch.syspath_prepend(path.parent)  # as where a script is run
    with pytest.raises(SystemExit) as exited:
        runpy.run_path(str(path), run_name="__main__")
    assert exited.value.code == 0
    assert "--size" in capsys.readouterr().out


def test_the_ui_has_the_workspace_of_the_repository() -> None:
    from cf_pipeline.defs.running import WORKSPACE

    assert (REPOSITORY / "workspace.yaml").read_text() == WORKSPACE
