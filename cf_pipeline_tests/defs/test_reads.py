"""What an asset declares to read is what its body reads: tables, and sections of configuration.

The bodies are read, not run: every `stage.frame("x")` and `stage.version("x")` in a body, in the
functions of `defs` that it calls, and in its fingerprint; every `configuration.<section>` there;
and, for sections of which only some fields are declared, every field that the rooms below touch.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from cf_pipeline.definitions import defs
from cf_pipeline.defs.assets import STAGES
from cf_pipeline.defs.versions import SourceTree
from cf_pipeline.recipes.configuration import SECTIONS, Configuration
from cf_pipeline.storage.tables import ASSET_TABLES

PACKAGE = Path(__file__).parents[2] / "cf_pipeline"
DEFS = PACKAGE / "defs"
READ_BY_SQL_OF_A_ROOM = {"pruned_matrix": {"raw_interactions"}}
"""`interactions.pruning` streams it inside DuckDB."""
READ_AS_STATE = {"embeddings": {"promoted_model"}, "trained_cnn": {"latent_factors"}}
"""Which models serve; whether a warm start would find the axes that it knows."""
OWNER = {table: asset for asset, tables in ASSET_TABLES.items() for table in tables}
CHANGES_NO_RESULT = {"resources", "tracking", "recipe", "budget", "dataset"}

defs().resolve_asset_graph()


@functools.cache
def functions() -> dict[str, tuple[ast.FunctionDef, str]]:
    """Every function of `defs` by its name, which is unique where it is used here."""
    return {
        node.name: (node, file.stem)
        for file in sorted(DEFS.glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
    }


def reached(asset: str) -> Iterator[ast.FunctionDef]:
    """The body and every function of `defs` that it, or its fingerprint, names."""
    outside = STAGES[asset].outside
    waiting = [asset, *([outside.locate.__name__] if outside else [])]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        is_another_asset = name in STAGES and name != asset
        if name in seen or name not in functions() or is_another_asset:
            continue
        seen.add(name)
        node, _ = functions()[name]
        yield node
        body = ast.Module(node.body, [])
        waiting += [n.id for n in ast.walk(body) if isinstance(n, ast.Name)]


def tables_read(asset: str) -> set[str]:
    """First arguments of `.frame("x")` and `.version("x")`."""
    return {
        node.args[0].value
        for function in reached(asset)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"frame", "version"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def sections_read(asset: str) -> set[str]:
    """`x` of every `configuration.x`, and `dataset` where `stage.dataset` is used."""
    attributes = [
        (node.attr, ast.unparse(node.value))
        for function in reached(asset)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
    ]
    sections = {attr for attr, of in attributes if of.endswith("configuration")}
    values = [
        node.args[0].value
        for function in reached(asset)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "configuration.value"
    ]
    return (sections | set(values)) - {"value"} - CHANGES_NO_RESULT


@pytest.mark.parametrize("asset", sorted(STAGES))
def test_the_parents_are_the_tables_that_are_read(asset: str) -> None:
    read = tables_read(asset) | READ_BY_SQL_OF_A_ROOM.get(asset, set())
    read = {OWNER[table] for table in read} - {asset} - READ_AS_STATE.get(asset, set())
    assert read == set(STAGES[asset].parents)


@pytest.mark.parametrize("asset", sorted(STAGES))
def test_the_sections_are_those_that_are_read(asset: str) -> None:
    declared = {key.partition(".")[0] for key in STAGES[asset].reads} - {"dataset"}
    assert sections_read(asset) == declared
    uses_dataset = any(
        isinstance(node, ast.Attribute) and ast.unparse(node) == "stage.dataset"
        for function in reached(asset)
        for node in ast.walk(function)
    )
    assert uses_dataset == any(key.startswith("dataset.") for key in STAGES[asset].reads)


def test_declared_keys_are_known() -> None:
    configuration = Configuration(dataset=Path("x"), recipe="modern", budget="demo")
    for spec in STAGES.values():
        for key in spec.reads:
            if not key.startswith("dataset."):
                configuration.value(key)
                assert key.partition(".")[0] in set(SECTIONS) - {"resources", "tracking"}


def fields_touched(asset: str, section: str) -> set[str]:
    """Fields of a section's model that an asset's body takes, or a room that it reaches.

    In a room they are taken from an argument or attribute that is annotated with the model.
    """
    model = Configuration.model_fields[section].annotation
    assert model is not None
    touched = {
        node.attr
        for function in reached(asset)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value).endswith(f"configuration.{section}")
    }
    for module in SourceTree(PACKAGE).reached_modules(DEFS / f"{functions()[asset][1]}.py", asset):
        file = PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                owners = [
                    argument.arg
                    for argument in (*node.args.args, *node.args.kwonlyargs)
                    if argument.annotation and ast.unparse(argument.annotation) == model.__name__
                ]
            elif isinstance(node, ast.ClassDef):
                owners = [
                    f"self.{ast.unparse(line.target)}"
                    for line in node.body
                    if isinstance(line, ast.AnnAssign)
                    and ast.unparse(line.annotation) == model.__name__
                ]
            else:
                continue
            touched |= {
                inner.attr
                for inner in ast.walk(node)
                if isinstance(inner, ast.Attribute) and ast.unparse(inner.value) in owners
            }
    return touched & set(model.model_fields)


@pytest.mark.parametrize(
    ("asset", "section"),
    [
        (name, section)
        for name, spec in sorted(STAGES.items())
        for section in sorted({key.split(".")[0] for key in spec.reads if "." in key} - {"dataset"})
        if section not in spec.reads
    ],
)
def test_of_a_section_read_in_part_every_field_is_declared(asset: str, section: str) -> None:
    declared = {key.partition(".")[2] for key in STAGES[asset].reads if key.startswith(section)}
    assert fields_touched(asset, section) == declared
