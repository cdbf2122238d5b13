"""The graph that others rely on, and what every asset of it says of itself."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from cf_pipeline.definitions import defs
from cf_pipeline.defs.conditions import STAGES
from cf_pipeline.storage.tables import ASSET_TABLES, TABLES

REPOSITORY = Path(__file__).parents[2]
CONTRACT = Path(__file__).with_name("graph.txt")
HEAVY = ("torch", "torchvision", "timm", "implicit", "sklearn", "matplotlib", "wandb")
HEAD = """\
# The graph: asset | group | parents | configuration it reads. Other programs rely on it.
# Written by `python -m cf_pipeline_tests.defs.test_graph`; read the difference before committing.
"""


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return defs()


def contract() -> str:
    graph = defs().resolve_asset_graph()
    lines = [
        " | ".join([
            key.to_user_string(),
            node.group_name or "",
            ", ".join(sorted(parent.to_user_string() for parent in node.parent_keys)) or "-",
            node.metadata["reads_configuration"].replace("none", "-"),
        ])
        for key in graph.get_all_asset_keys()
        for node in [graph.get(key)]
    ]
    lines += [
        f"{key.asset_key.to_user_string()} | check | {key.name}" for key in graph.asset_check_keys
    ]
    return HEAD + "\n".join(sorted(lines)) + "\n"


def test_the_graph_is_the_one_that_was_reviewed() -> None:
    assert contract() == CONTRACT.read_text(encoding="utf-8"), (
        "The graph differs from cf_pipeline_tests/defs/graph.txt. Asset keys, groups and parents "
        "are public. If the change is meant, run `python -m cf_pipeline_tests.defs.test_graph`, "
        "read the difference, and say so in CHANGELOG.md."
    )


def test_one_job_materializes_everything(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("full_pipeline")
    assert set(job.asset_layer.executable_asset_keys) == {dg.AssetKey(name) for name in STAGES}
    assert set(STAGES) == set(ASSET_TABLES)


@pytest.mark.slow
def test_resolving_the_definitions_imports_nothing_heavy() -> None:
    code = f"""
import sys
from cf_pipeline.definitions import defs
resolved = defs()
resolved.resolve_job_def("full_pipeline")
resolved.resolve_asset_graph()
print(*sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == ""


def test_workspace_and_dg_name_the_same_module() -> None:
    workspace = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())
    [entry] = workspace["load_from"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert entry["python_module"] == {
        "module_name": project["code_location_target_module"],
        "location_name": project["code_location_name"],
    }
    assert project["code_location_target_module"] == defs.load_fn.__module__


def assets(definitions: dg.Definitions) -> Iterator[dg.AssetSpec]:
    yield from definitions.resolve_all_asset_specs()


def test_every_asset_says_what_it_is(definitions: dg.Definitions) -> None:
    for asset in assets(definitions):
        name = asset.key.to_user_string()
        assert asset.description, name
        assert "\n    " not in asset.description, f"{name}: the UI would draw code"
        assert asset.owners == ["team:cf_pipeline"], name
        assert "duckdb" in asset.kinds, name
        assert asset.group_name in {
            "interactions",
            "factorization",
            "vision",
            "baselines",
            "benchmark",
            "retrieval",
            "gallery",
        }, name
        assert re.fullmatch("[0-9a-f]{12}", asset.code_version or ""), name
        assert asset.metadata["dagster/relation_identifier"] == f"main.{name}"


def test_every_column_is_described_as_it_is_stored(definitions: dg.Definitions) -> None:
    for asset in assets(definitions):
        name = asset.key.to_user_string()
        schema = asset.metadata["dagster/column_schema"]
        declared = {column.name: column.type for column in TABLES[name].columns}
        assert {column.name: column.type for column in schema.columns} == declared
        assert all(column.description for column in schema.columns), name


def test_the_launchpad_offers_force_and_nothing_else(definitions: dg.Definitions) -> None:
    for name in STAGES:
        op = definitions.resolve_assets_def(name).op
        assert set(op.config_schema.config_type.fields) == {"force"}


if __name__ == "__main__":
    CONTRACT.write_text(contract(), encoding="utf-8")
    sys.stdout.write(f"wrote {CONTRACT}\n")
