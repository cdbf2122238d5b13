"""What a person is told before anything is done, and how soon."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cf_pipeline_tests.cli.conftest import Command

COMMANDS = (
    *("run", "ui", "crossvalidate", "status", "config", "doctor", "export", "gallery"),
    *("accept", "models", "promote", "gc", "lineage"),
    *("similar", "embed", "recommend", "scores", "tune factors"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_and_says_what_names_the_home(
    cf: Command, command: str
) -> None:
    said = cf(*command.split(), "--help")
    assert said.code == 0
    text = " ".join(said.out.replace("│", " ").split())
    assert f"Example: cf-pipeline {command}" in text
    assert "[env: CF_PIPELINE_HOME]" in text


def test_help_lists_the_commands_as_a_module_too_and_loads_nothing_heavy() -> None:
    code = (
        "import runpy, sys; sys.argv = ['cf_pipeline', '--help']\n"
        "try: runpy.run_module('cf_pipeline', run_name='__main__')\n"
        "except SystemExit as ended: assert not ended.code\n"
        "print(sorted({'dagster', 'torch', 'duckdb', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ ")}
    assert {"init", *(command.split()[0] for command in COMMANDS)} <= listed
    assert done.stdout.splitlines()[-1] == "[]"
